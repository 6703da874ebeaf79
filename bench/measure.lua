-- SPDX-License-Identifier: MIT
-- How the Lua programs measure, the same as bench/floor/floor.h does: `dofile "bench/measure.lua"`.

local measure = {}

local LONG_ENOUGH = 0.4 -- CPU seconds that a measured run lasts at least, roughly

--- CPU nanoseconds a unit of `work(n)`, which does n units and may answer the CPU seconds that the
--- part worth measuring took. The short runs that find the right n are the warm-up.
function measure.ns_per_unit(work)
  local function seconds(n)
    collectgarbage() -- what the run before has left is not this one's, and memory is as it was for the first
    local began = os.clock()
    return work(n) or os.clock() - began
  end
  local n = 1000
  local took = seconds(n)
  while took < LONG_ENOUGH do
    n = took < LONG_ENOUGH / 20 and n * 4 or n * 1.2 * LONG_ENOUGH / took // 1 | 0
    took = seconds(n)
  end
  return took / n * 1e9
end

--- Print what the driver reads: numbers on one line.
function measure.report(...)
  local words = {}
  for i, value in ipairs { ... } do words[i] = ("%.3f"):format(value) end
  print(table.concat(words, " "))
end

--- Bytes of this process in memory; nil where the system does not tell.
function measure.resident_bytes()
  local file = io.open "/proc/self/statm"
  if not file then return nil end
  local _, pages = file:read("n", "n")
  file:close()
  return pages * 4096
end

--- How long sleeper i of `tasks` sleeps: no two alike, between half a second and one and a half.
function measure.nap(i, tasks) return 0.5 + i * 7919 % tasks / tasks end

--- Report sleepers: CPU microseconds a task, and bytes a task while all of them slept.
function measure.report_sleepers(tasks, seconds, before, asleep)
  measure.report(seconds / tasks * 1e6, before and (asleep - before) / tasks or -1)
end

return measure
