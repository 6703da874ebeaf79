-- SPDX-License-Identifier: MIT
-- A manual clock runs ahead of the system's by what was slept; back on the real one eddy.now() went back.
local lu = ...
local eddy = require "eddy"

local TestClock = {}

function TestClock:tearDown() eddy.config { clock = false } end

function TestClock:test_outside_it_goes_on()
  local last = eddy.now()
  for round = 1, 3 do
    eddy.config { clock = "manual" }
    lu.assertTrue(eddy.now() >= last, round)
    eddy.run(eddy.sleep, 3600)
    lu.assertTrue(eddy.now() >= last + 3600)
    last = eddy.now()
    eddy.config { clock = "real" }
    lu.assertTrue(eddy.now() >= last, round)
    last = eddy.now()
    eddy.config { on_error = false }   -- which says nothing of clocks
    lu.assertTrue(eddy.now() >= last, round)
    -- It runs as fast as the system's: never early, and not for ever.
    local from = eddy.now()
    eddy.run(eddy.sleep, 0.01)
    local slept = eddy.now() - from
    lu.assertTrue(slept >= 0.01 and slept < 10, slept)
    lu.assertEquals(eddy.run(eddy.within, 0.01, eddy.sleep, 1000), false)
    last = eddy.now()
  end
end

return { TestClock = TestClock }
