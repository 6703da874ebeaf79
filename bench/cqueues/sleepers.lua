-- SPDX-License-Identifier: MIT
-- sleepers.lua TASKS: that many coroutines, each asleep for a different time.
local sched = dofile "bench/cqueues/sched.lua"
local measure = dofile "bench/measure.lua"

local tasks = tonumber(arg[1])
local function sleep(seconds) sched.sleep(seconds) end

local before, asleep = measure.resident_bytes(), nil
local began = os.clock()
sched.run(function()
  for i = 0, tasks - 1 do sched.spawn(sleep, measure.nap(i, tasks)) end
  sched.pause()
  asleep = measure.resident_bytes()
end)
measure.report_sleepers(tasks, os.clock() - began, before, asleep)
