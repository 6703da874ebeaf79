-- SPDX-License-Identifier: MIT
-- switch.lua TASKS: that many coroutines are resumed in turn by a loop: no scheduler.
local measure = dofile "bench/measure.lua"

local tasks = tonumber(arg[1])
local resume, yield = coroutine.resume, coroutine.yield

local list = {}
for i = 1, tasks do
  list[i] = coroutine.create(function()
    while true do yield() end
  end)
  resume(list[i])
end

local function switch_often(n)
  for _ = 1, n, tasks do
    for i = 1, tasks do resume(list[i]) end
  end
end

measure.report(measure.ns_per_unit(switch_often))
