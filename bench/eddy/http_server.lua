-- SPDX-License-Identifier: MIT
-- An HTTP server with a handler in Lua and the small reply. Prints its port first.
local eddy = require "eddy"
local http = require "eddy.http"

local HEADERS = { ["Content-Type"] = "text/plain" }

eddy.run(function()
  local server = assert(http.serve {
    host = "127.0.0.1", backlog = 1024,
    handler = function() return 200, HEADERS, "Hello, world\n" end,
  })
  print(server.port)
  io.stdout:flush()
end)
