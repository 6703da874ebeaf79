-- SPDX-License-Identifier: MIT
-- settle never raises for a member, but when it was cancelled after a member had failed it raised that
-- member's error in the place of the cancellation.
local lu = ...
local eddy = require "eddy"

local TestSettle = { clock = "manual" }

function TestSettle:test_the_cancellation_is_raised()
  local function fail() error("a member's", 0) end
  lu.assertFalse(eddy.within(1, eddy.settle, { fail, function() eddy.sleep(9) end }))
  local task = eddy.spawn(eddy.settle, { fail, function() eddy.sleep(9) end })
  eddy.sleep(1)
  task:cancel()
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cancelled"))
  lu.assertEquals(task:status(), "cancelled")
end

return { TestSettle = TestSettle }
