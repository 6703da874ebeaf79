-- SPDX-License-Identifier: MIT
-- Misuse and bad texts, said the same way everywhere in eddy.http: a wrong type or an option that
-- does not exist raises, with the position of the caller's code; a text that must not be sent is
-- `nil, err`.
local core = require "eddy.core"

local misuse = {}

--- Is this level of the stack ours, and not the caller's code?
local function is_ours(info)
  local source = info.source
  return info.what == "C" or source:find "eddy[/\\]http[/\\]" ~= nil or source:find "eddy[/\\]init%.lua$" ~= nil
end

--- Raise `message` with the position of the first function outside of eddy.http; without one where none is
--- there (what a handler has returned is looked at behind it).
function misuse.raise(message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  local level = 2
  local info = debug.getinfo(level, "S")
  while info and is_ours(info) do
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  error(message, info and level or 0)
end

--- `nil, err` for a text that must not be sent. `target` is shown without control bytes.
---@return nil
---@return eddy.Error
function misuse.invalid(message, target)
  return nil, core.error {
    kind = "protocol", code = "EINVAL", op = "request", message = message,
    target = target and target:gsub("[%c]", "?"):gsub("//[^/@]*@", "//"):sub(1, 200),
  }
end

--- Raise unless `value` has one of the types: "string", "number", "table", "boolean", "function".
function misuse.check_type(name, value, expected)
  if type(value) ~= expected then
    misuse.raise("%s: %s expected, got %s", name, expected, type(value))
  end
end

--- Raise unless `value` is a number that is no NaN.
function misuse.check_number(name, value)
  misuse.check_type(name, value, "number")
  if value ~= value then misuse.raise("%s: not a number", name) end
end

return misuse
