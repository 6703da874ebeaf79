-- SPDX-License-Identifier: MIT
-- Futures: set once, read by many, errors by identity.
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n or 2 do eddy.sleep(0) end end

local TestFuture = {}

function TestFuture:test_any_number_of_values()
  for _, values in ipairs { table.pack(), table.pack(nil), table.pack(false), table.pack(1, nil, 3, nil) } do
    local future = eddy.future()
    local waiter = eddy.spawn(future.await, future)
    turns()
    future:set(table.unpack(values, 1, values.n))
    lu.assertEquals(table.pack(waiter:await()), values)
    lu.assertEquals(table.pack(future:await()), values)
  end
end

function TestFuture:test_two_hundred_values()
  local future = eddy.future()
  local many = {}
  for i = 1, 200 do many[i] = i end
  future:set(table.unpack(many))
  lu.assertEquals({ future:await() }, many)
end

function TestFuture:test_waiters_get_it_in_order()
  local future, order = eddy.future(), {}
  for i = 1, 3 do
    eddy.spawn(function()
      local value = future:await()
      order[#order + 1] = { i, value }
    end)
  end
  turns()
  future:set "v"
  turns()
  lu.assertEquals(order, { { 1, "v" }, { 2, "v" }, { 3, "v" } })
end

function TestFuture:test_fail_raises_the_same_value_in_all()
  local err = setmetatable({}, { __tostring = function() return "e" end })
  local future = eddy.future()
  local function caught() return select(2, pcall(future.await, future)) end
  local first, second = eddy.spawn(caught), eddy.spawn(caught)
  turns()
  future:fail(err)
  lu.assertTrue(rawequal(first:await(), err))
  lu.assertTrue(rawequal(second:await(), err))
  lu.assertTrue(rawequal(caught(), err))
  lu.assertTrue(future:is_set())
end

function TestFuture:test_fail_with_odd_values()
  for _, err in ipairs { false, 0, "text" } do
    local future = eddy.future()
    future:fail(err)
    lu.assertEquals({ pcall(future.await, future) }, { false, err })
  end
  local future = eddy.future()
  future:fail(nil)
  lu.assertEquals(table.pack(pcall(future.await, future)), { false, nil, n = 2 })
  lu.assertErrorMsgContains("value expected", future.fail, eddy.future())
end

function TestFuture:test_a_second_answer_raises_and_changes_nothing()
  local future = eddy.future()
  lu.assertFalse(future:is_set())
  future:set(1)
  lu.assertTrue(future:is_set())
  lu.assertErrorMsgContains("already set", future.set, future, 2)
  lu.assertErrorMsgContains("already set", future.fail, future, "x")
  lu.assertEquals(future:await(), 1)
  local failed = eddy.future()
  failed:fail "first"
  lu.assertErrorMsgContains("already set", failed.set, failed, 2)
  lu.assertErrorMsgContains("already set", failed.fail, failed, 2)
  lu.assertErrorMsgContains("first", failed.await, failed)
end

function TestFuture:test_a_failure_leaves_no_operation()
  local future = eddy.future()
  local waiter = eddy.spawn(function()
    pcall(future.await, future)
    return eddy.stats().operations
  end)
  turns()
  future:fail "x"
  turns()
  lu.assertEquals(waiter:await(), 0)
end

function TestFuture:test_cancelled_waiter_leaves_no_trace()
  local future = eddy.future()
  local gone, stays = eddy.spawn(future.await, future), eddy.spawn(future.await, future)
  turns()
  lu.assertEquals(eddy.stats().operations, 2)
  gone:cancel()
  turns()
  lu.assertEquals(eddy.stats().operations, 1)
  future:set "x"
  lu.assertEquals(stays:await(), "x")
  lu.assertEquals(gone:status(), "cancelled")
end

function TestFuture:test_outside_it_outlives_runs()
  local future = eddy.future()
  future:set "before"
  lu.assertEquals(eddy.run(future.await, future), "before")
  lu.assertErrorMsgContains("cannot await outside a task", future.await, future)
  lu.assertEquals(eddy.run(future.await, future), "before")
end

function TestFuture:test_outside_waiting_for_ever_is_a_deadlock()
  local ok, err = pcall(eddy.run, function() eddy.future():await() end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"))
  lu.assertStrContains(tostring(err), "future:await")
end

function TestFuture:test_outside_a_killed_waiter_leaves_no_trace()
  local future, swallowed = eddy.future(), 0
  eddy.config { on_error = function() swallowed = swallowed + 1 end }
  lu.assertErrorMsgContains("nothing can ever run", eddy.run, function()
    eddy.spawn(function() while true do pcall(future.await, future) end end)
    eddy.spawn(future.await, future)
  end)
  eddy.config { on_error = false }
  lu.assertEquals(swallowed, 1)
  lu.assertEquals(eddy.stats().operations, 0)
  future:set(1)
  lu.assertEquals(eddy.run(future.await, future), 1)
end

function TestFuture:test_text_and_misuse()
  local future = eddy.future()
  lu.assertEquals(tostring(future), "eddy.Future (not set)")
  future:set()
  lu.assertEquals(tostring(future), "eddy.Future (set)")
  lu.assertErrorMsgContains("eddy.Future", future.await, eddy.event())
  lu.assertErrorMsgMatches(".-future_spec%.lua:%d+: the future is already set", function() future:set() end)
end

return { TestFuture = TestFuture }
