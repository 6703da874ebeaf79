-- SPDX-License-Identifier: MIT
-- semaphore.lua TASKS: that many coroutines share one permit, which goes to who has waited longest.
local sched = dofile "bench/luv/sched.lua"
local measure = dofile "bench/measure.lua"

local Semaphore = {}
Semaphore.__index = Semaphore

local function new_semaphore(n) return setmetatable({ available = n, first = 1, last = 0 }, Semaphore) end

function Semaphore:acquire()
  if self.available > 0 then
    self.available = self.available - 1
    return self
  end
  self.last = self.last + 1
  self[self.last] = coroutine.running()
  coroutine.yield()
  return self
end

function Semaphore:release()
  local first = self.first
  local next_one = self[first]
  if not next_one then
    self.available = self.available + 1
    return
  end
  self[first] = nil
  self.first = first + 1
  sched.wake(next_one)
end

local tasks = tonumber(arg[1])
local semaphore = new_semaphore(1)

local function take_turns(n)
  local first = semaphore:acquire()
  sched.pause() -- until everyone else is waiting
  first:release()
  for _ = 1, n do
    local permit = semaphore:acquire()
    permit:release()
  end
end

local function take_often(n)
  local started = {}
  for i = 1, tasks do started[i] = sched.spawn(take_turns, n // tasks) end
  for i = 1, tasks do started[i]:await() end
end

sched.run(function() measure.report(measure.ns_per_unit(take_often)) end)
