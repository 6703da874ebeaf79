-- SPDX-License-Identifier: MIT
-- Errors that several parts of the client make.
local core = require "eddy.core"

local errors = {}

--- The request, or its peer, took longer than it may. `phase`: where it was.
---@return eddy.Error
function errors.timed_out(phase, target, message)
  return core.error {
    kind = "timeout", code = "ETIMEDOUT", op = phase, target = target, message = message or "the request took too long",
  }
end

--- The peer was silent for `idle_timeout`.
---@return eddy.Error
function errors.silent(phase, target)
  return errors.timed_out(phase, target, "the peer was silent for too long")
end

return errors
