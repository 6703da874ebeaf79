-- SPDX-License-Identifier: MIT
-- gather.lua MEMBERS: a list of empty functions is gathered. The unit is one member.
local sched = dofile "bench/luv/sched.lua"
local measure = dofile "bench/measure.lua"

local members = tonumber(arg[1])
local list = {}
for i = 1, members do list[i] = function() end end

local function gather_often(n)
  for _ = 1, n, members do sched.gather(list) end
end

sched.run(function() measure.report(measure.ns_per_unit(gather_often)) end)
