-- SPDX-License-Identifier: MIT
-- A task that was cancelled before it ran, or spawned into a cancelled block, was "ready" until its turn came.
local lu = ...
local eddy = require "eddy"

local TestStatus = {}

local function never() error "not reached" end

function TestStatus:test_cancelled_before_it_ran()
  local task = eddy.spawn(never)
  lu.assertEquals(task:status(), "ready")
  lu.assertTrue(task:cancel "early")
  lu.assertEquals(task:status(), "cancelled")
  lu.assertStrContains(tostring(task), "cancelled")
  lu.assertFalse(task:cancel())
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertEquals(err.reason, "early")
  lu.assertEquals(task:status(), "cancelled")
end

function TestStatus:test_spawned_into_a_cancelled_block()
  eddy.group(function(group)
    group:cancel()
    for _, task in ipairs { group:spawn(never), eddy.spawn(never), group:spawn_with({ name = "late" }, never) } do
      lu.assertEquals(task:status(), "cancelled")
    end
    local inside
    eddy.shield(1, function()
      inside = eddy.spawn(eddy.sleep, 0)
      lu.assertEquals(inside:status(), "ready")
    end)
    lu.assertEquals(inside:status(), "done")
  end)
end

function TestStatus:test_one_that_runs_is_ready_until_it_has_ended()
  local task = eddy.spawn(eddy.sleep, 1)
  eddy.sleep(0)
  task:cancel()
  lu.assertEquals(task:status(), "ready")
  task:join()
  lu.assertEquals(task:status(), "cancelled")
end

return { TestStatus = TestStatus }
