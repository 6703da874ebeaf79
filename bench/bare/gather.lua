-- SPDX-License-Identifier: MIT
-- gather.lua MEMBERS: a list of empty functions, each as a coroutine of its own; the first results
-- are collected.
local measure = dofile "bench/measure.lua"

local members = tonumber(arg[1])
local list = {}
for i = 1, members do list[i] = function() end end

local function gather()
  local results, created = { n = members }, {}
  for i = 1, members do created[i] = coroutine.create(list[i]) end
  for i = 1, members do
    local _, first = coroutine.resume(created[i])
    results[i] = first
  end
  return results
end

measure.report(measure.ns_per_unit(function(n)
  for _ = 1, n, members do gather() end
end))
