-- SPDX-License-Identifier: MIT
-- An empty function is spawned and awaited, again and again.
local sched = dofile "bench/cqueues/sched.lua"
local measure = dofile "bench/measure.lua"

local function empty() end

local function spawn_often(n)
  local spawn = sched.spawn
  for _ = 1, n do spawn(empty):await() end
end

sched.run(function() measure.report(measure.ns_per_unit(spawn_often)) end)
