-- SPDX-License-Identifier: MIT
-- A deadline around a function that ends at once, while an outer one is pending.
local eddy = require "eddy"
local measure = dofile "bench/measure.lua"

local function work() end

local function time_out_often(n)
  local timeout = eddy.timeout
  for _ = 1, n do timeout(5, work) end
end

eddy.run(function()
  eddy.timeout(60, function() measure.report(measure.ns_per_unit(time_out_often)) end)
end)
