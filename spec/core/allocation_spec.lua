-- SPDX-License-Identifier: MIT
-- A wait costs no memory once the program is warm: neither of Lua's nor of ours. With the collector
-- stopped Lua's count can only grow, so that it does not grow proves that nothing was taken.
local lu = ...
local eddy = require "eddy"

local ROUNDS = 2000

--- What `rounds` calls of `fn` take: bytes of Lua's, bytes of ours.
local function taken_by(fn)
  for _ = 1, 100 do fn() end
  collectgarbage()
  collectgarbage "stop"
  local lua, ours = collectgarbage "count", eddy.stats().bytes
  local spent = collectgarbage "count" - lua   -- by asking
  lua = collectgarbage "count"
  for _ = 1, ROUNDS do fn() end
  lua, ours = collectgarbage "count" - lua - spent, eddy.stats().bytes - ours
  collectgarbage "restart"
  return lua * 1024, ours
end

local function assert_free(fn)
  local lua, ours = taken_by(fn)
  -- `stats` itself makes a table
  lu.assertTrue(lua < 1000, ("%d bytes of Lua's for %d waits"):format(lua, ROUNDS))
  lu.assertEquals(ours, 0)
end

local TestSteady = { clock = "manual", leaks = false }   -- noting who holds what would take memory, too

function TestSteady:test_sleep()
  assert_free(function() eddy.sleep(0) end)
  assert_free(function() eddy.sleep(1) end)
end

function TestSteady:test_timeout_that_does_not_fire()
  local function nothing() end
  assert_free(function() eddy.timeout(5, nothing) end)
  assert_free(function() eddy.within(5, eddy.sleep, 1) end)
end

--- `fn` and a partner that answers take turns.
local function with_partner(partner, fn)
  local task = eddy.spawn(function() while true do partner() end end)
  assert_free(fn)
  task:cancel()
end

function TestSteady:test_event()
  local ping, pong = eddy.event(), eddy.event()
  with_partner(function() ping:wait() ping:clear() pong:set() end, function() ping:set() pong:wait() pong:clear() end)
end

function TestSteady:test_queue()
  for _, max in ipairs { 0, 1, 100 } do
    local there, back = eddy.queue(max), eddy.queue(max)
    with_partner(function() back:put(there:get()) end, function() there:put "item" back:get() end)
  end
end

function TestSteady:test_semaphore()
  -- A permit is an object of the script's, which it may keep: `release` without one takes nothing.
  local semaphore = eddy.semaphore(0)
  local go = eddy.event()
  local task = eddy.spawn(function() while true do go:wait() go:clear() semaphore:release() end end)
  local one = semaphore
  local function wait() go:set() one:with(rawlen, "") one:try_acquire() end
  local lua, ours = taken_by(wait)
  task:cancel()
  lu.assertTrue(lua / ROUNDS <= 160, lua / ROUNDS)
  lu.assertEquals(ours, 0)
end

function TestSteady:test_join()
  local gate, others = eddy.event(), {}
  for i = 1, ROUNDS + 200 do others[i] = eddy.spawn(function() for _ = 1, 3 do gate:wait() end end) end
  eddy.sleep(0)
  local n = 0
  local lua, ours = taken_by(function()
    n = n + 1
    eddy.within(0, others[1].join, others[1])   -- a join that is given up
  end)
  gate:set()
  for i = 1, #others do others[i]:join() end
  lu.assertTrue(lua / ROUNDS < 400, lua / ROUNDS)   -- the cancellation's error object
  lu.assertEquals(ours, 0)
  local done = eddy.spawn(rawlen, "")
  assert_free(function() done:join() done:await() end)
end

local TestMany = { timeout = 60 }

function TestMany:test_a_million_in_sequence_leave_memory_flat()
  local function empty() end
  for _ = 1, 20000 do eddy.spawn(empty):await() end
  collectgarbage()
  local lua, ours = collectgarbage "count", eddy.stats().bytes
  for _ = 1, 1000000 do eddy.spawn(empty):await() end
  collectgarbage()
  lu.assertTrue(collectgarbage "count" <= lua * 1.02, collectgarbage "count" - lua)
  lu.assertEquals(eddy.stats().bytes, ours)
end

function TestMany:test_a_hundred_thousand_alive_cost_at_most_1400_bytes_each()
  collectgarbage()
  local gate, n = eddy.event(), 100000
  local before = collectgarbage "count" * 1024 + eddy.stats().bytes
  for _ = 1, n do eddy.spawn(gate.wait, gate) end
  eddy.sleep(0)
  collectgarbage()
  local each = (collectgarbage "count" * 1024 + eddy.stats().bytes - before) / n
  gate:set()
  lu.assertTrue(each <= 1400, each)
end

return { TestSteady = TestSteady, TestMany = TestMany }
