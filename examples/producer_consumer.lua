-- SPDX-License-Identifier: MIT
-- A queue with four places: the producer waits when it is full, the consumers when it is empty, and
-- all of them end when it is closed and drained.
local eddy = require "eddy"

local queue = eddy.queue(4)
local sums, longest = { 0, 0, 0 }, 0

local function produce()
  for number = 1, 30 do
    assert(queue:put(number))
    longest = math.max(longest, queue:size())
  end
  queue:close()
end

local function consume(which)
  for number in queue:iter() do
    eddy.sleep(0.001 * which)
    sums[which] = sums[which] + number
  end
end

eddy.group(function(group)
  group:spawn(produce)
  for which = 1, 3 do group:spawn(consume, which) end
end)

print("sum", sums[1] + sums[2] + sums[3])
print("longest", longest)
print("everybody worked", sums[1] > 0 and sums[2] > 0 and sums[3] > 0)
local value, err = queue:get()
print("closed", value, eddy.is(err, "closed"))
