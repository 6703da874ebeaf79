-- SPDX-License-Identifier: MIT
-- queue.lua CAPACITY: one coroutine puts numbers into a ring, another gets them; two conditions.
local condition = require "cqueues.condition"
local sched = dofile "bench/cqueues/sched.lua"
local measure = dofile "bench/measure.lua"

local Queue = {}
Queue.__index = Queue

local function new_queue(capacity)
  return setmetatable({
    capacity = capacity, head = 0, count = 0,
    not_empty = condition.new(), not_full = condition.new(),
    getting = false, putting = false,
  }, Queue)
end

function Queue:put(value)
  while self.count == self.capacity do
    self.putting = true
    self.not_full:wait()
  end
  self[(self.head + self.count) % self.capacity + 1] = value
  self.count = self.count + 1
  if self.getting then
    self.getting = false
    self.not_empty:signal(1)
  end
end

function Queue:get()
  while self.count == 0 do
    self.getting = true
    self.not_empty:wait()
  end
  local value = self[self.head + 1]
  self.head, self.count = (self.head + 1) % self.capacity, self.count - 1
  if self.putting then
    self.putting = false
    self.not_full:signal(1)
  end
  return value
end

local queue = new_queue(tonumber(arg[1]))

local function produce(n)
  for i = 1, n do queue:put(i) end
end

local function send_many(n)
  local producer = sched.spawn(produce, n)
  for _ = 1, n do queue:get() end
  producer:await()
end

sched.run(function() measure.report(measure.ns_per_unit(send_many)) end)
