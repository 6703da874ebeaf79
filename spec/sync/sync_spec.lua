-- SPDX-License-Identifier: MIT
-- Semaphore, event, queue. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local TestSemaphore = {}

function TestSemaphore:test_s108_no_barging()
  local s = eddy.semaphore(1)
  local held = s:acquire()
  local got = eddy.spawn(function() local _ <close> = s:acquire() eddy.sleep(0) end)
  eddy.sleep(0)
  held:release()
  lu.assertNil(s:try_acquire())   -- it is the waiter's already
  lu.assertEquals(s:available(), 0)
  got:await()
  lu.assertEquals(s:available(), 1)
end

function TestSemaphore:test_s109_s117_strict_order()
  local s, order = eddy.semaphore(1), {}
  local first = s:acquire()
  for i, k in ipairs { 3, 1, 1 } do
    eddy.spawn(function() local p = s:acquire(k) order[#order + 1] = i p:release() end)
  end
  eddy.sleep(0)
  first:release()
  turns(2)
  lu.assertEquals(order, {})     -- the head wants three; nobody overtakes it
  s:release(2)
  turns(4)
  lu.assertEquals(order, { 1, 2, 3 })
  lu.assertEquals(s:available(), 3)
end

function TestSemaphore:test_s110_cancelled_head_lets_the_next_one_through()
  local s = eddy.semaphore(1)
  local head = eddy.spawn(function() s:acquire(3) end)
  local second = eddy.spawn(function() return s:acquire():release() end)
  eddy.sleep(0)
  head:cancel()
  lu.assertTrue(second:await())
end

function TestSemaphore:test_s115_model()
  local s, held, peak = eddy.semaphore(3), 0, 0
  math.randomseed(11)
  eddy.group(function(group)
    for _ = 1, 300 do
      local task = group:spawn(function()
        eddy.within(math.random() * 0.002, function()
          local _ <close> = s:acquire()
          held = held + 1
          local _ <close> = setmetatable({}, { __close = function() held = held - 1 end })
          peak = math.max(peak, held)
          eddy.sleep(math.random(0, 1) * 0.0005)
        end)
      end)
      if math.random() < 0.3 then group:spawn(function() turns(math.random(0, 3)) task:cancel() end) end
    end
  end)
  lu.assertEquals({ held, s:available() }, { 0, 3 })
  lu.assertTrue(peak <= 3)
end

function TestSemaphore:test_s116_bounds_and_misuse()
  local s = eddy.semaphore(1, 1)
  lu.assertErrorMsgContains("above its maximum", s.release, s)
  lu.assertEquals(s:available(), 1)
  lu.assertErrorMsgContains("maximum", s.acquire, s, 2)
  lu.assertErrorMsgContains("above 0", s.acquire, s, 0)
  lu.assertErrorMsgContains("negative", eddy.semaphore, -1)
  lu.assertErrorMsgContains("number", eddy.semaphore, 1.5)
  lu.assertEquals(eddy.semaphore(0):available(), 0)
  lu.assertErrorMsgContains("eddy.Semaphore expected", s.acquire, eddy.event())
end

function TestSemaphore:test_with()
  local s = eddy.semaphore(1)
  lu.assertEquals({ s:with(function(...) lu.assertEquals(s:available(), 0) return ... end, 1, 2) }, { 1, 2 })
  lu.assertEquals({ pcall(s.with, s, error, "x", 0) }, { false, "x" })
  lu.assertEquals(s:available(), 1)
end

local TestEvent = {}

function TestEvent:test_s124_s125_set_and_clear()
  local event, order = eddy.event(), {}
  for i = 1, 3 do eddy.spawn(function() event:wait() order[#order + 1] = i end) end
  eddy.sleep(0)
  event:set() event:set() event:clear()
  lu.assertFalse(event:is_set())
  turns(2)
  lu.assertEquals(order, { 1, 2, 3 })
  lu.assertFalse(eddy.within(0.001, event.wait, event))
  event:set()
  lu.assertTrue(event:wait())
end

local TestQueue = {}

function TestQueue:test_s137_order_through_many_sizes()
  for _, max in ipairs { 0, 1, 2, 3, 7, 1000 } do
    local queue, got = eddy.queue(max), {}
    eddy.spawn(function() for i = 1, 100 do queue:put(i) end queue:close() end)
    for item in queue:iter() do got[#got + 1] = item end
    lu.assertEquals(#got, 100)
    for i = 1, 100 do lu.assertEquals(got[i], i) end
  end
end

function TestQueue:test_s138_rendezvous()
  local queue, delivered = eddy.queue(0), false
  eddy.spawn(function() queue:put "x" delivered = true end)
  turns(3)
  lu.assertFalse(delivered)
  lu.assertFalse(queue:try_put "y")
  lu.assertEquals(queue:get(), "x")
  turns(2)
  lu.assertTrue(delivered)
  lu.assertErrorMsgContains("negative", eddy.queue, -1)
end

function TestQueue:test_s139_false_and_nil()
  local queue = eddy.queue()
  queue:put(false)
  lu.assertEquals(queue:get(), false)
  lu.assertErrorMsgContains("nil cannot be an item", queue.put, queue, nil)
  lu.assertNil(queue:try_get())
end

function TestQueue:test_s140_s141_nothing_is_stolen()
  local queue = eddy.queue(1)
  local getter = eddy.spawn(function() return queue:get() end)
  eddy.sleep(0)
  queue:try_put "for the getter"
  lu.assertNil(queue:try_get())
  lu.assertEquals(getter:await(), "for the getter")
  queue:put(1)
  local putter = eddy.spawn(function() return queue:put(2) end)
  eddy.sleep(0)
  lu.assertEquals(queue:get(), 1)
  lu.assertFalse(queue:try_put(3))   -- the place is the putter's
  lu.assertTrue(putter:await())
  lu.assertEquals(queue:get(), 2)
end

function TestQueue:test_s145_cancelled_getter_of_three()
  local queue, got, tasks = eddy.queue(), {}, {}
  for i = 1, 3 do tasks[i] = eddy.spawn(function() local v = queue:get() got[#got + 1] = v end) end
  eddy.sleep(0)
  tasks[1]:cancel()
  queue:put "a" queue:put "b"
  turns(3)
  lu.assertEquals(got, { "a", "b" })
end

function TestQueue:test_s146_s148_close()
  local queue = eddy.queue(2)
  queue:put(1) queue:put(2)
  local putter = eddy.spawn(function() return queue:put(3) end)
  eddy.sleep(0)
  queue:close() queue:close()
  local ok, err = putter:await()
  lu.assertNil(ok)
  lu.assertTrue(eddy.is(err, "closed"))
  lu.assertEquals({ queue:get(), queue:get() }, { 1, 2 })
  lu.assertTrue(eddy.is(select(2, queue:get()), "closed"))
  lu.assertTrue(eddy.is(select(2, queue:try_put(1)), "closed"))
  local other = eddy.queue()
  other:put "a" other:put "b"
  lu.assertEquals(other:close(true), { "a", "b" })
  lu.assertTrue(other:join())
end

function TestQueue:test_s150_join()
  local queue = eddy.queue()
  for i = 1, 3 do queue:put(i) end
  local joiner = eddy.spawn(queue.join, queue)
  eddy.spawn(function() for _ = 1, 3 do queue:get() eddy.sleep(0) queue:task_done() end end)
  lu.assertTrue(joiner:await())
  lu.assertErrorMsgContains("more often", queue.task_done, queue)
end

function TestQueue:test_s152_model()
  math.randomseed(7)
  local queue, given, taken = eddy.queue(3), 0, {}
  eddy.group(function(group)
    for _ = 1, 200 do
      local getter = group:spawn(function() local v = queue:get() if v then taken[#taken + 1] = v end end)
      local putter = group:spawn(function() given = given + 1 queue:put(given) end)
      if math.random() < 0.4 then turns(math.random(0, 2)) getter:cancel() end
      if math.random() < 0.2 then putter:cancel() end
    end
    turns(5)
    local rest
    repeat rest = queue:try_get() taken[#taken + 1] = rest turns(1) until not rest
    group:cancel()
  end)
  local seen = {}
  for _, v in ipairs(taken) do lu.assertNil(seen[v]) seen[v] = true end
  lu.assertTrue(#taken <= given)
end

function TestQueue:test_hand_over_survives_a_kill()
  -- A getter is killed with the item in hand: the item is there for the next one.
  local queue = eddy.queue()
  local doomed = eddy.spawn(function()
    for _ = 1, 1100 do pcall(eddy.sleep, 0) end
  end)
  local getter = eddy.spawn(function() return queue:get() end)
  eddy.sleep(0)
  doomed:cancel()
  doomed:join()
  queue:put "kept"
  lu.assertEquals(getter:await(), "kept")
end
TestQueue.config = { on_error = function() end }

function TestQueue:test_grows_and_wraps()
  local queue = eddy.queue()
  local n, expected = 0, 1
  for round = 1, 50 do
    for _ = 1, round do n = n + 1 queue:put(n) end
    for _ = 1, round // 2 do lu.assertEquals(queue:get(), expected) expected = expected + 1 end
  end
  while queue:size() > 0 do lu.assertEquals(queue:get(), expected) expected = expected + 1 end
  lu.assertEquals(expected, n + 1)
end

local TestFairness = {}

function TestFairness:test_ready_data_does_not_starve_others()
  local event, others = eddy.event(), 0
  event:set()
  eddy.spawn(function() for _ = 1, 10 do others = others + 1 eddy.sleep(0) end end)
  for _ = 1, 2000 do event:wait() end
  lu.assertTrue(others >= 10)
end

function TestFairness:test_no_switch_within_the_budget()
  local other = false
  local event = eddy.event()
  event:set()
  eddy.sleep(0)
  eddy.spawn(function() other = true end)
  for _ = 1, 50 do event:wait() end
  lu.assertFalse(other)
end

return { TestSemaphore = TestSemaphore, TestEvent = TestEvent, TestQueue = TestQueue, TestFairness = TestFairness }
