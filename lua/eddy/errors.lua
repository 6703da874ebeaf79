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

local DEEPEST = 20 -- levels that are indented; what lies deeper stands below that

local function margin(depth) return ("  "):rep(math.min(depth, DEEPEST)) end

--- Add a text whose lines after the first are indented to `inner`.
local function add(lines, depth, text, inner)
  lines[#lines + 1] = margin(depth) .. text:gsub("\n", "\n" .. margin(inner or depth))
end

local function is_ours(value)
  local meta = getmetatable(value)
  return meta == core.Error or meta == core.ErrorGroup
end

local add_story

--- Add what belongs to an error: one of ours with its whole story, any other with the traceback that was kept of it.
local function add_part(lines, depth, lead, value, path, traceback)
  add(lines, depth, lead .. tostring(value), depth + 1)
  if is_ours(value) then add_story(lines, depth + 1, value, path)
  elseif traceback then add(lines, depth + 1, traceback) end
end

--- All but the first line. `path` are the errors that this one lies in: a script can make it lie in itself.
function add_story(lines, depth, err, path)
  if path[err] then return add(lines, depth, "(as above)") end
  path[err] = true
  if err.traceback then add(lines, depth, err.traceback) end
  local tracebacks = err.tracebacks or {}
  for i, member in ipairs(err.errors or {}) do add_part(lines, depth, i .. ". ", member, path, tracebacks[i]) end
  if err.cause ~= nil then add_part(lines, depth, "caused by ", err.cause, path) end
  for _, other in ipairs(err.suppressed or {}) do add_part(lines, depth, "suppressed: ", other, path) end
  path[err] = nil
end

--- The whole story in several lines: the error, where it was raised and through which tasks it went,
--- what caused it, what was suppressed, and all of this for each member of a group.
---@return string
function Error:report()
  local lines = { tostring(self) }
  add_story(lines, 0, self, {})
  return table.concat(lines, "\n")
end

core.Error.__index = Error
core.ErrorGroup.__index = Error

return Error
