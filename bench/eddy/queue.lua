-- SPDX-License-Identifier: MIT
-- queue.lua CAPACITY: one task puts numbers into a queue, another gets them.
local eddy = require "eddy"
local measure = dofile "bench/measure.lua"

local queue = eddy.queue(tonumber(arg[1]))

local function produce(n)
  for i = 1, n do queue:put(i) end
end

local function consume(n)
  for _ = 1, n do queue:get() end
end

local function send_many(n)
  local producer = eddy.spawn(produce, n)
  consume(n)
  producer:await()
end

eddy.run(function() measure.report(measure.ns_per_unit(send_many)) end)
