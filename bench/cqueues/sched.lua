-- SPDX-License-Identifier: MIT
-- What cqueues leaves to the script: joining, and running to the end.
local cqueues = require "cqueues"
local condition = require "cqueues.condition"

local sched = {}

local loop = cqueues.new()

local Task = {}
Task.__index = Task

--- Run `fn(...)` as a coroutine of the loop.
function sched.spawn(fn, ...)
  local task = setmetatable({ done = false, waiters = false }, Task)
  loop:wrap(function(...)
    task.result = fn(...)
    task.done = true
    if task.waiters then task.waiters:signal() end
  end, ...)
  return task
end

function Task:await()
  if not self.done then
    self.waiters = self.waiters or condition.new()
    self.waiters:wait()
  end
  return self.result
end

function sched.gather(list)
  local results, left, all = { n = #list }, #list, condition.new()
  for i = 1, #list do
    loop:wrap(function()
      results[i] = list[i]()
      left = left - 1
      if left == 0 then all:signal() end
    end)
  end
  if left > 0 then all:wait() end
  return results
end

sched.pause = function() cqueues.poll(0) end
sched.sleep = cqueues.sleep

function sched.run(fn)
  loop:wrap(fn)
  assert(loop:loop())
end

return sched
