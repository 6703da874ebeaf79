-- SPDX-License-Identifier: MIT
-- A race or an any that was cancelled from outside raised what its members had failed with, although
-- neither raises that otherwise: a timeout around it came out as the failure of one of many.
local lu = ...
local eddy = require "eddy"

local TestCancelled = { clock = "manual" }

local function failing(after, what) return function() eddy.sleep(after) error(what, 0) end end
local function resting() eddy.sleep(1000) end

--- A member that fails while it is being cancelled.
local function failing_in_clean_up()
  local _ <close> = setmetatable({}, { __close = function() error("in clean-up", 0) end })
  eddy.sleep(1000)
end

local function outcome(fn, list)
  local ok, err = pcall(eddy.timeout, 10, fn, list)
  lu.assertFalse(ok)
  return eddy.is(err, "timeout") and "timeout" or err
end

function TestCancelled:test_any()
  lu.assertEquals(outcome(eddy.any, { failing(1, "early"), resting }), "timeout")
  lu.assertEquals(outcome(eddy.any, { failing(1, "early"), failing_in_clean_up, resting }), "timeout")
  lu.assertEquals(outcome(eddy.any, { failing_in_clean_up, failing_in_clean_up }), "timeout")
end

function TestCancelled:test_any_that_all_failed_in_time()
  local ok, err = pcall(eddy.timeout, 10, eddy.any, { failing(1, "a"), failing(2, "b") })
  lu.assertFalse(ok)
  lu.assertEquals(err.errors, { "a", "b" })
end

function TestCancelled:test_race()
  lu.assertEquals(outcome(eddy.race, { resting, resting }), "timeout")
  -- The one that decided it has failed: that is what the race raises, however long the others take.
  local function slow_to_end() eddy.shield(math.huge, eddy.sleep, 20) end
  lu.assertEquals(outcome(eddy.race, { failing(1, "the winner's"), slow_to_end }), "the winner's")
  -- The others' failures are nobody's, as ever.
  local function fails_late() eddy.shield(math.huge, eddy.sleep, 20) error("a loser's", 0) end
  lu.assertEquals(outcome(eddy.race, { function() eddy.sleep(1) return "won" end, fails_late }), "timeout")
end

return { TestCancelled = TestCancelled }
