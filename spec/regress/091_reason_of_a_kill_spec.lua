-- SPDX-License-Identifier: MIT
-- The error of a task that was killed knew neither the reason of its cancellation nor who had cancelled it,
-- and a run whose root was killed said no more than "task cancelled".
local lu = ...
local eddy = require "eddy"

local TestKilled = { clock = "manual", config = { on_error = function() end } }

local function swallow() while true do pcall(eddy.sleep, 1) end end

function TestKilled:test_reason_and_place()
  local reason = {}
  for _, why in ipairs { "text", 42, reason } do
    local task = eddy.spawn(swallow)
    eddy.sleep(0)
    task:cancel(why) local line = debug.getinfo(1, "l").currentline
    local _, err = task:join()
    lu.assertEquals({ task:status(), err.kind, err.code }, { "cancelled", "cancelled", "cancelled" })
    lu.assertTrue(rawequal(err.reason, why))
    lu.assertStrContains(err.message, "task killed, for it kept catching its cancellation")
    lu.assertStrContains(err.traceback, ("091_reason_of_a_kill_spec.lua:%d"):format(line))
  end
end

function TestKilled:test_behind_a_shield_it_goes_with_its_owner()
  local member
  local task = eddy.spawn(function()
    member = eddy.spawn(function() eddy.shield(math.huge, eddy.sleep, 1e6) end)
    swallow()
  end)
  eddy.sleep(0)
  eddy.sleep(0)
  task:cancel "why"
  task:join()
  local _, err = member:join()
  lu.assertEquals({ err.reason, err.message, member:status() }, { "why", "task killed: why", "cancelled" })
end

function TestKilled:test_in_a_block_of_its_own()
  local task = eddy.spawn(function() eddy.within(1, swallow) end)
  local _, err = task:join()
  lu.assertEquals({ err.kind, err.reason, task:status() }, { "cancelled", "timeout", "cancelled" })
end

function TestKilled:test_a_member_without_a_name()
  local result = eddy.settle { function() eddy.within(1, swallow) end }[1]
  lu.assertEquals({ result.ok, result.err.kind, result.err.reason }, { false, "cancelled", "timeout" })
end

function TestKilled:test_outside_the_root()
  local ok, err = pcall(eddy.run, function()
    eddy.current():cancel "enough"
    swallow()
  end)
  lu.assertEquals({ ok, err.kind, err.reason }, { false, "cancelled", "enough" })
  lu.assertStrContains(tostring(err), "task killed")
end

return { TestKilled = TestKilled }
