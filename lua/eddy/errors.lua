-- SPDX-License-Identifier: MIT
--
-- What error objects can do besides being printed: a report of several lines that leaves nothing out.
-- The objects themselves are made in C (csrc/core/error.c); `tostring(err)` stays one line.

local core = require "eddy.core"

---@class eddy.Error
---@field kind string         "io", "timeout", "cancelled", "closed", "protocol", "tls", "limit", "permission", "worker" ...
---@field code string         finer than the kind ("ECONNREFUSED"), or equal to it
---@field op string?          what was being done
---@field target string?      to what
---@field message string?
---@field cause any           what led to it
---@field reason any          of a cancellation: what `cancel(reason)` was given
---@field suppressed any[]?   what went wrong besides
---@field traceback string?   where it was raised, through which tasks it went, where these were spawned
local Error = {}

---@class eddy.ErrorGroup: eddy.Error
---@field errors any[]        in the order in which the members failed
---@field tracebacks string[] of each, where there is one

local function indent(text) return (text:gsub("\n", "\n  ")) end

local function is_ours(value)
  local meta = getmetatable(value)
  return meta == core.Error or meta == core.ErrorGroup
end

local function report_of(value) return is_ours(value) and value:report() or tostring(value) end

local function add_members(lines, err)
  local tracebacks = err.tracebacks or {}
  for i, member in ipairs(err.errors or {}) do
    local text = report_of(member)
    if not is_ours(member) and tracebacks[i] then text = text .. "\n" .. tracebacks[i] end
    lines[#lines + 1] = indent(("%d. %s"):format(i, text))
  end
end

--- The whole story in several lines: the error, where it was raised and through which tasks it went,
--- what caused it, what was suppressed, and all of this for each member of a group.
---@return string
function Error:report()
  local lines = { tostring(self) }
  if self.traceback then lines[#lines + 1] = self.traceback end
  add_members(lines, self)
  if self.cause ~= nil then lines[#lines + 1] = "caused by " .. indent(report_of(self.cause)) end
  for _, other in ipairs(self.suppressed or {}) do
    lines[#lines + 1] = "suppressed: " .. indent(report_of(other))
  end
  return table.concat(lines, "\n")
end

core.Error.__index = Error
core.ErrorGroup.__index = Error

return Error
