-- SPDX-License-Identifier: MIT
-- The pages of docs/reference: their sources, and how a page calls the objects of its classes.
local T = "lua/eddy/types/"

return {
  {
    name = "kernel", title = "Kernel", text = '`local eddy = require "eddy"`',
    sources = { T .. "kernel.lua", "lua/eddy/init.lua", "lua/eddy/errors.lua" },
    objects = { ["eddy.Task"] = "task", ["eddy.Group"] = "group", ["eddy.Var"] = "var", ["eddy.Error"] = "err" },
  },
}
