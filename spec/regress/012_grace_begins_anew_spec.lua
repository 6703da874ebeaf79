-- SPDX-License-Identifier: MIT
-- A task whose deadline passed once, and whose next one passed longer than `kill_grace` after that,
-- was killed for having caught cancellations for so long.
local lu = ...
local eddy = require "eddy"

local TestGrace = { clock = "manual" }

function TestGrace:test_deadlines_long_after_each_other()
  for _ = 1, 3 do
    lu.assertFalse((eddy.within(0.1, eddy.sleep, 1)))
    eddy.sleep(6)
  end
end

return { TestGrace = TestGrace }
