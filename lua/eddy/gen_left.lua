-- SPDX-License-Identifier: MIT
--
-- Generators that were left in the middle (eddy.gen): who closes them, and in what order. Owns the sets of
-- core.ending, with the generators as weak keys, and `left`: those that the collector has found, or
-- false. Promises that each is closed once at the latest when its task ends, whatever fails meanwhile.

local core = require "eddy.core"

local numbers = 0   -- of generators that have started
local close         -- of a generator

--- Close those of the list, the newest first, whatever happens; raise the last error.
local function drain(list)
  local failed, problem
  while #list > 0 do
    local self = table.remove(list)
    if self.is_running_ then   -- somebody else's from now on
      self.set_ = nil
    else
      local ok, err = pcall(close, self)
      if not ok then failed, problem = true, err end
    end
  end
  if failed then error(problem, 0) end
end

local Rest = { __close = drain }   -- the task is killed while one of them is closed

local function is_older(a, b) return a.number_ < b.number_ end

local function close_list(list)
  table.sort(list, is_older)
  local rest <close> = setmetatable(list, Rest)
  drain(rest)
end

local function close_set(set)
  local list = {}
  for self in pairs(set) do   -- those in `left` are among them
    if self ~= "left" then list[#list + 1] = self end
  end
  close_list(list)
end

local function take_newest(set)
  local newest
  for self in pairs(set) do
    if self ~= "left" and (not newest or self.number_ > newest.number_) then newest = self end
  end
  if newest then set[newest], newest.set_ = nil, nil end
  return newest
end

--- At the end of the task whose set it is. What is still in it then could not be closed for want of
--- memory.
core.on_ending(function(set)
  local ok, err = pcall(close_set, set)
  for self in take_newest, set do
    if not self.is_running_ then pcall(close, self) end
  end
  if not ok then error(err, 0) end
end)

--- Those that the collector has found: it has made sure that nobody else will close them.
local function close_left(set)
  local list = set.left
  set.left = false
  local ok, err = pcall(close_list, list)
  if ok then return end
  if #list > 0 and not set.left then set.left = list end   -- there was no memory even to begin
  if core.cancels(err) then error(err, 0) end
  core.report(err)
end

--- The generator begins.
local function register(self)
  local maker, current = self.maker_, core.current()
  self.maker_ = nil
  local set = maker and core.ending(maker) or current and core.ending(current)
  if not set then return end
  if set.left and maker == current and core.awaitable() then close_left(set) end
  numbers = numbers + 1
  self.number_, self.set_, set[self] = numbers, set, true
end

---@param close_one fun(generator: table)
---@return fun(generator: table) register
return function(close_one)
  close = close_one
  return register
end
