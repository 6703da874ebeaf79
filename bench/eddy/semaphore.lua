-- SPDX-License-Identifier: MIT
-- semaphore.lua TASKS: that many tasks share one permit. One alone always finds it free; of
-- several, each waits every time. The unit is one acquire and one release.
local eddy = require "eddy"
local measure = dofile "bench/measure.lua"

local tasks = tonumber(arg[1])
local semaphore = eddy.semaphore(1)

local function take_turns(n)
  local first = semaphore:acquire()
  eddy.sleep(0) -- until everyone else is waiting
  first:release()
  for _ = 1, n do
    local permit = semaphore:acquire()
    permit:release()
  end
end

local function take_often(n)
  local started = {}
  for i = 1, tasks do started[i] = eddy.spawn(take_turns, n // tasks) end
  for i = 1, tasks do started[i]:await() end
end

eddy.run(function() measure.report(measure.ns_per_unit(take_often)) end)
