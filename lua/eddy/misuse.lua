-- SPDX-License-Identifier: MIT
--
-- Checks of arguments for functions of the kernel that are written in Lua, worded as luaL_check* does
-- and raised at the position of the caller of the public function that calls the check.

local core = require "eddy.core"

local misuse = {}

local function wrong(name, number, expected, value, level)
  error(("bad argument #%d to '%s' (%s expected, got %s)"):format(number, name, expected,
    value == nil and "nil" or type(value)), (level or 3) + 1)
end

---@param name string       of the public function
---@param number integer    of the argument
---@param value any
---@param level? integer    of the caller to blame, as `error` counts from the check; default 3
function misuse.check_table(name, number, value, level)
  if type(value) ~= "table" then wrong(name, number, "table", value, level) end
end

---@param name string
---@param number integer
---@param value any
function misuse.check_number(name, number, value)
  if type(value) ~= "number" then wrong(name, number, "number", value) end
end

---@param name string
---@param number integer
---@param value any
function misuse.check_string(name, number, value)
  if type(value) ~= "string" then wrong(name, number, "string", value) end
end

---@param value any
---@return boolean
function misuse.is_callable(value)
  if type(value) == "function" then return true end
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__call") ~= nil
end

---@param name string
---@param number integer
---@param value any
function misuse.check_callable(name, number, value)
  if not misuse.is_callable(value) then wrong(name, number, "function", value) end
end

--- Was the method called with a colon, on an object whose metatable is `class`?
---@param name string     of the method
---@param self any
---@param class table
function misuse.check_self(name, self, class)
  if debug.getmetatable(self) == class then return end
  error(("calling '%s' on bad self (%s expected, got %s)"):format(name, class.__name,
    self == nil and "nil" or type(self)), 3)
end

---@param err any
---@return any err   a string without the position that `error` had put before it
function misuse.without_position(err)
  return type(err) == "string" and err:gsub("^[^\n]-:%d+: ", "") or err
end

---@param value any
---@return boolean
function misuse.is_task(value)
  return core.istask(value)
end

--- Raise what a wait would raise here, if it would.
function misuse.check_awaitable()
  if not core.awaitable() then core.checkpoint() end
end

return misuse
