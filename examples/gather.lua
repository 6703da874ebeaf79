-- SPDX-License-Identifier: MIT
-- Several things at once: all of them, or each with its own outcome.
local eddy = require "eddy"

local function work(name, seconds)
  return function()
    eddy.sleep(seconds)
    if name == "bad" then error("bad luck", 0) end
    return name
  end
end

-- All results in the order of the arguments; as long as the slowest, not as the sum.
local began = eddy.now()
print("gather", eddy.gather(work("a", 0.3), work("b", 0.2), work("c", 0.1)))
print("took less than the sum", eddy.now() - began < 0.6)

-- The first failure cancels the others, waits for their end and is raised.
print("fails", eddy.pcall(eddy.gather, work("a", 3600), work("bad", 0.01)))

-- settle lets everybody finish.
for i, result in ipairs(eddy.settle { work("a", 0.01), work("bad", 0), work("c", 0.02) }) do
  print("settle", i, result.ok, result.ok and result.value or result.err)
end

-- race: the first to end; any: the first to succeed. The others are cancelled.
print("race", eddy.race { work("slow", 3600), work("quick", 0.01) })
print("any", eddy.any { work("bad", 0), work("good", 0.02) })
