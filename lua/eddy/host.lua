-- SPDX-License-Identifier: MIT
--
-- Events of the host. Each listener has a queue of its own, so that a slow one keeps nobody up; the queue
-- has no limit, because an event must not be lost and the host cannot wait. A listener that nobody holds
-- any more is forgotten. Nothing of it runs until a script listens for the first time.

local core = require "eddy.core"

local host = {}

---@class eddy.Events
---@field name_ string
---@field queue_ eddy.Queue     of packed values
local Listener = { __name = "eddy.Events" }
Listener.__index = Listener

local listeners   -- name -> list of listeners in order of arrival, weak

local function forget(list, gone)
  local kept = 0
  for i = 1, list.n do
    local one = list[i]
    list[i] = nil
    if one and one ~= gone then
      kept = kept + 1
      list[kept] = one
    end
  end
  list.n = kept
end

-- The next event's values; waits for it. Nil once the listener is closed.
function Listener:__call()
  local values = self.queue_:get()
  if values then return table.unpack(values, 1, values.n) end
end

--- Hear nothing any more. Can be repeated.
function Listener:close()
  local list = listeners[self.name_]
  if list then forget(list, self) end
  if list and list.n == 0 then listeners[self.name_] = nil end
  self.queue_:close(true)
end
Listener.__close = Listener.close

local function deliver(name, ...)
  local list = listeners[name]
  if not list then return end
  local values = select("#", ...) == 0 and { true, n = 1 } or table.pack(...)
  if values[1] == nil then error("the first value of an event is nil", 0) end
  forget(list)
  for i = 1, list.n do list[i].queue_:try_put(values) end
end

--- Iterate over the host's events of this name, from now on: `for value in eddy.on("click") do ... end`.
--- An event without values gives `true`. Leaving the loop ends the listening.
---@param name string
---@return eddy.Events next
---@return nil
---@return nil
---@return eddy.Events closing_value
function host.on(name)
  if type(name) ~= "string" then error(("bad argument #1 to 'on' (string expected, got %s)"):format(type(name)), 2) end
  if not listeners then
    listeners = {}
    core.listen(deliver)
  end
  local list = listeners[name] or setmetatable({ n = 0 }, { __mode = "v" })
  local listener = setmetatable({ name_ = name, queue_ = core.queue() }, Listener)
  listeners[name] = list
  list.n = list.n + 1
  list[list.n] = listener
  return listener, nil, nil, listener
end

return host
