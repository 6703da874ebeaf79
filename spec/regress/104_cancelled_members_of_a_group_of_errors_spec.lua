-- SPDX-License-Identifier: MIT
-- A member that somebody had cancelled stood among the failures of the others in the ErrorGroup of 'gather' and
-- 'any', which has no cancellations in it.
local lu = ...
local eddy = require "eddy"

local TestCancelledMembers = {}

--- A task that somebody cancels a little later, when the other members wait.
local function cancelled_task()
  local task = eddy.spawn(eddy.sleep, 1000)
  eddy.spawn(function()
    eddy.sleep(0.1)
    task:cancel "mine"
  end)
  return task
end

local function fail_when_told()
  pcall(eddy.sleep, 1000)
  error("real", 0)
end

function TestCancelledMembers:test_a_failure_of_gather_is_raised_as_itself()
  local _, err = eddy.pcall(eddy.gather, { cancelled_task(), fail_when_told })
  lu.assertEquals(err, "real")
end

function TestCancelledMembers:test_several_make_a_group_without_it()
  local _, err = eddy.pcall(eddy.gather, { fail_when_told, cancelled_task(), fail_when_told })
  lu.assertEquals(err.errors, { "real", "real" })
end

function TestCancelledMembers:test_alone_it_is_what_gather_raises()
  local _, err = eddy.pcall(eddy.gather, { cancelled_task(), function() eddy.sleep(1000) end })
  lu.assertEquals({ err.kind, err.reason }, { "cancelled", "mine" })
end

function TestCancelledMembers:test_any_leaves_it_out()
  local _, err = eddy.pcall(eddy.any, { cancelled_task(), function() error("real", 0) end })
  lu.assertEquals({ err.kind, err.errors }, { "group", { "real" } })
end

function TestCancelledMembers:test_any_has_nothing_else_to_say()
  local _, err = eddy.pcall(eddy.any, { cancelled_task(), cancelled_task() })
  lu.assertEquals({ #err.errors, err.errors[2].reason }, { 2, "mine" })
end

return TestCancelledMembers
