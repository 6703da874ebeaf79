-- SPDX-License-Identifier: MIT
-- queue.lua CAPACITY: one coroutine puts numbers into a ring, another gets them.
local sched = dofile "bench/luv/sched.lua"
local measure = dofile "bench/measure.lua"

local Queue = {}
Queue.__index = Queue

local function new_queue(capacity)
  return setmetatable({ capacity = capacity, head = 0, count = 0, getter = false, putter = false }, Queue)
end

function Queue:put(value)
  if self.count == self.capacity then
    self.putter = coroutine.running()
    coroutine.yield()
  end
  self[(self.head + self.count) % self.capacity + 1] = value
  self.count = self.count + 1
  local getter = self.getter
  if getter then
    self.getter = false
    sched.wake(getter)
  end
end

function Queue:get()
  if self.count == 0 then
    self.getter = coroutine.running()
    coroutine.yield()
  end
  local value = self[self.head + 1]
  self.head, self.count = (self.head + 1) % self.capacity, self.count - 1
  local putter = self.putter
  if putter then
    self.putter = false
    sched.wake(putter)
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
