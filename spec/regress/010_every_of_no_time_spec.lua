-- SPDX-License-Identifier: MIT
-- With a period too short to count, every's number of periods became infinite and the second step slept
-- for ever.
local lu = ...
local eddy = require "eddy"

local TestEvery = { clock = "manual" }

function TestEvery:test_shorter_than_the_clock_can_tell()
  lu.assertErrorMsgContains("at least a nanosecond", function() eddy.every(5e-324) end)
  local step = eddy.every(1e-9)
  lu.assertEquals(math.type(step()), "integer")
  eddy.sleep(1)
  lu.assertEquals(math.type(step()), "integer")
end

return { TestEvery = TestEvery }
