-- SPDX-License-Identifier: MIT
-- semaphore.lua TASKS: that many coroutines share one permit, which goes to who has waited longest:
-- a released permit is promised to one waiter of the condition and never becomes free in between.
local condition = require "cqueues.condition"
local sched = dofile "bench/cqueues/sched.lua"
local measure = dofile "bench/measure.lua"

local Semaphore = {}
Semaphore.__index = Semaphore

local function new_semaphore(n)
  return setmetatable({ available = n, waiting = 0, promised = 0, change = condition.new() }, Semaphore)
end

function Semaphore:acquire()
  if self.available > 0 then
    self.available = self.available - 1
    return self
  end
  self.waiting = self.waiting + 1
  repeat self.change:wait() until self.promised > 0
  self.waiting, self.promised = self.waiting - 1, self.promised - 1
  return self
end

function Semaphore:release()
  if self.waiting > self.promised then
    self.promised = self.promised + 1
    self.change:signal(1)
  else
    self.available = self.available + 1
  end
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
