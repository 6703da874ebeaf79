-- SPDX-License-Identifier: MIT
-- A deadline around a function that ends at once.
local sched = dofile "bench/luv/sched.lua"
local measure = dofile "bench/measure.lua"

local function work() end

local function time_out_often(n)
  local timeout = sched.timeout
  for _ = 1, n do timeout(5, work) end
end

sched.run(function() measure.report(measure.ns_per_unit(time_out_often)) end)
