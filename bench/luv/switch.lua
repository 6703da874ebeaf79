-- SPDX-License-Identifier: MIT
-- switch.lua TASKS: that many tasks give way in turn.
local sched = dofile "bench/luv/sched.lua"
local measure = dofile "bench/measure.lua"

local tasks = tonumber(arg[1])

--- The clock runs from when all tasks have started to when the first has ended.
local function switch_often(n)
  local pause, began, ended = sched.pause, nil, nil
  local function take_turns()
    pause()
    began = began or os.clock()
    for _ = 1, n // tasks do pause() end
    ended = ended or os.clock()
  end
  local started = {}
  for i = 1, tasks do started[i] = sched.spawn(take_turns) end
  for i = 1, tasks do started[i]:await() end
  return ended - began
end

sched.run(function() measure.report(measure.ns_per_unit(switch_often)) end)
