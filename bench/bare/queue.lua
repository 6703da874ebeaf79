-- SPDX-License-Identifier: MIT
-- A producer that is resumed for each message: no queue and no scheduler.
local measure = dofile "bench/measure.lua"

measure.report(measure.ns_per_unit(function(n)
  local get = coroutine.wrap(function()
    for i = 1, n do coroutine.yield(i) end
  end)
  for _ = 1, n do get() end
end))
