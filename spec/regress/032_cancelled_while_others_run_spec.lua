-- SPDX-License-Identifier: MIT
-- `eddy.sleep(0)` was a wait that could not be cancelled: a task that somebody cancelled while it let others run went on
-- until its next wait, and `testing.cancel_everywhere` never stopped a task there.
local lu = ...
local eddy = require "eddy"
local testing = require "eddy.testing"

local TestYield = {}

local function yield_at(wait)
  local went_on = false
  local task = eddy.spawn(function() wait() went_on = true end)
  eddy.sleep(0)
  return task, function() return went_on end
end

local WAITS = {
  sleep = function() eddy.sleep(0) end,
  below = function() eddy.sleep(-1) end,
  past = function() eddy.sleep_until(0) end,
  inside = function() coroutine.wrap(function() eddy.sleep(0) end)() end,
}

function TestYield:test_cancel_is_raised_there()
  for name, wait in pairs(WAITS) do
    local task, went_on = yield_at(wait)
    lu.assertTrue(task:cancel("enough"), name)
    local ok, err = task:join()
    lu.assertFalse(ok, name)
    lu.assertEquals(err.reason, "enough", name)
    lu.assertEquals(task:status(), "cancelled", name)
    lu.assertFalse(went_on(), name)
  end
end

function TestYield:test_a_shield_lets_it_go_on()
  local task, went_on = yield_at(function() eddy.shield(1, eddy.sleep, 0) end)
  task:cancel()
  task:join()
  lu.assertTrue(went_on())
end

function TestYield:test_group_cancel()
  local went_on
  eddy.group(function(group)
    group:spawn(function() eddy.sleep(0) went_on = true end)
    eddy.sleep(0)
    group:cancel()
  end)
  lu.assertNil(went_on)
end

function TestYield:test_failures_of_one_turn_are_all_raised()
  local ok, err = eddy.pcall(eddy.group, function(group)
    for i = 1, 3 do group:spawn(function() eddy.sleep(0) error("e" .. i, 0) end) end
    eddy.sleep(1000)
  end)
  lu.assertFalse(ok)
  lu.assertEquals(err.errors, { "e1", "e2", "e3" })
end

local TestEverywhere = {}

function TestEverywhere:test_outside_a_leak_at_a_yield_is_found()
  local ok, err = pcall(testing.cancel_everywhere, function()
    local permit = eddy.semaphore(1):acquire()
    eddy.sleep(0)
    permit:release()
  end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "permit of a semaphore")
end

return { TestYield = TestYield, TestEverywhere = TestEverywhere }
