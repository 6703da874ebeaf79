-- SPDX-License-Identifier: MIT
-- sleepers.lua TASKS: that many tasks, each asleep for a different time.
local eddy = require "eddy"
local measure = dofile "bench/measure.lua"

local tasks = tonumber(arg[1])
local function sleep(seconds) eddy.sleep(seconds) end

local before, asleep = measure.resident_bytes(), nil
local began = os.clock()
eddy.run(function()
  for i = 0, tasks - 1 do eddy.spawn(sleep, measure.nap(i, tasks)) end
  eddy.sleep(0)
  asleep = measure.resident_bytes()
end)
measure.report_sleepers(tasks, os.clock() - began, before, asleep)
