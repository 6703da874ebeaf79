-- SPDX-License-Identifier: MIT
-- An empty function runs as a coroutine of its own, again and again.
local measure = dofile "bench/measure.lua"

local function empty() end

measure.report(measure.ns_per_unit(function(n)
  for _ = 1, n do coroutine.resume(coroutine.create(empty)) end
end))
