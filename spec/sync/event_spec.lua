-- SPDX-License-Identifier: MIT
-- Events: what is set and cleared in one turn. Numbers are those of the statements.
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local TestEvent = { clock = "manual" }

function TestEvent:test_s124_a_set_event_does_not_suspend()
  local event, other = eddy.event(), false
  event:set()
  turns(1)
  eddy.spawn(function() other = true end)
  for _ = 1, 20 do lu.assertTrue(event:wait()) end
  lu.assertFalse(other)
end

function TestEvent:test_s125_later_waiters_block()
  local event, early, late = eddy.event(), 0, 0
  for _ = 1, 3 do eddy.spawn(function() event:wait() early = early + 1 end) end
  turns(1)
  event:set()
  event:clear()
  local others = eddy.spawn(function() event:wait() late = late + 1 end)
  turns(3)
  lu.assertEquals({ early, late }, { 3, 0 })
  event:set()
  others:await()
  lu.assertEquals(late, 1)
end

function TestEvent:test_s126_cancelled_waiter_leaves_no_record()
  local event, woken = eddy.event(), {}
  local tasks = {}
  for i = 1, 3 do tasks[i] = eddy.spawn(function() event:wait() woken[#woken + 1] = i end) end
  turns(1)
  local before = eddy.stats().operations
  tasks[2]:cancel()
  lu.assertEquals(eddy.stats().operations, before - 1)
  event:set()
  turns(2)
  lu.assertEquals(woken, { 1, 3 })
end

function TestEvent:test_s126_set_then_cancelled_returns()
  local event, returned = eddy.event(), nil
  local task = eddy.spawn(function() returned = event:wait() eddy.sleep(0) error "not reached" end)
  turns(1)
  event:set()
  task:cancel()
  task:join()
  lu.assertTrue(returned)
  lu.assertEquals(task:status(), "cancelled")
end

function TestEvent:test_a_waiter_that_waits_again_after_clear_blocks()
  local event, count = eddy.event(), 0
  local task = eddy.spawn(function() while true do event:wait() count = count + 1 event:clear() end end)
  turns(1)
  for _ = 1, 5 do event:set() turns(2) end
  lu.assertEquals(count, 5)
  task:cancel()
end

function TestEvent:test_an_event_with_waiters_stays()
  local done = false
  local set
  do
    local event = eddy.event()
    eddy.spawn(function() event:wait() done = true end)
    set = setmetatable({ event }, { __mode = "v" })
  end
  turns(1)
  collectgarbage() collectgarbage()
  set[1]:set()
  turns(1)
  lu.assertTrue(done)
end

function TestEvent:test_misuse()
  local event = eddy.event()
  lu.assertErrorMsgContains("eddy.Event expected", event.wait, eddy.queue())
  lu.assertErrorMsgContains("eddy.Event expected", event.set)
end

return { TestEvent = TestEvent }
