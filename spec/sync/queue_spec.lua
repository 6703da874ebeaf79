-- SPDX-License-Identifier: MIT
-- Queues: items in flight, closing, counting. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function ignore() end

-- `n` tasks that wait for an item in order and log what they got.
local function getters(queue, n, log)
  local tasks = {}
  for i = 1, n do
    tasks[i] = eddy.spawn(function()
      local item = queue:get()
      log[#log + 1] = { i, item }
    end)
  end
  turns(1)
  return tasks
end

local TestQueue = {}

function TestQueue:test_s137_getters_and_putters_are_served_in_order()
  local queue, log = eddy.queue(1), {}
  getters(queue, 3, log)
  for i = 1, 3 do queue:try_put(i * 10) end
  turns(2)
  lu.assertEquals(log, { { 1, 10 }, { 2, 20 }, { 3, 30 } })
  queue:put(0)
  for i = 1, 3 do eddy.spawn(queue.put, queue, i) end
  turns(1)
  local items = {}
  for i = 1, 4 do items[i] = queue:get() end
  lu.assertEquals(items, { 0, 1, 2, 3 })
end

function TestQueue:test_s138_misuse()
  lu.assertErrorMsgContains("number has no integer", eddy.queue, 1.5)
  lu.assertErrorMsgContains("number expected", eddy.queue, "many")
  lu.assertErrorMsgContains("eddy.Queue expected", eddy.queue().get, eddy.event())
  lu.assertErrorMsgContains("nil cannot be an item", eddy.queue().try_put, eddy.queue())
end

function TestQueue:test_try_forms()
  local queue = eddy.queue(1)
  lu.assertEquals(table.pack(queue:try_get()), { nil, n = 1 })
  lu.assertEquals({ queue:try_put(false), queue:try_put(2) }, { true, false })
  lu.assertEquals(queue:size(), 1)
  lu.assertEquals(table.pack(queue:try_get()), { false, n = 1 })
  queue:close()
  local item, err = queue:try_get()
  lu.assertNil(item)
  lu.assertTrue(eddy.is(err, "closed"))
end

function TestQueue:test_s142_cancelled_getter_loses_nothing()
  local queue, log = eddy.queue(), {}
  local tasks = getters(queue, 2, log)
  tasks[1]:cancel()
  queue:put "item"
  turns(2)
  lu.assertEquals(log, { { 2, "item" } })
  lu.assertEquals(queue:size(), 0)
end

function TestQueue:test_s143_handed_over_then_cancelled_is_delivered()
  local queue, log = eddy.queue(), {}
  local tasks = getters(queue, 2, log)
  queue:put "item"
  tasks[1]:cancel()
  turns(2)
  lu.assertEquals(log, { { 1, "item" } })
  tasks[2]:cancel()
end

-- A parent is killed in the turn in which its children were handed items. `at` is the delivery.
local function kill_with_items_in_hand(at, items)
  local queue, n, got = eddy.queue(), 0, {}
  local doomed
  eddy.spawn(function()
    while not doomed or doomed:status() ~= "cancelled" do
      if n == at then
        for i = 1, items do queue:try_put(i) end
        n = n + 1e6
      end
      eddy.sleep(0)
    end
  end)
  doomed = eddy.spawn(function()
    for _ = 1, items do
      eddy.spawn(function()
        local item = eddy.shield(math.huge, queue.get, queue)
        got[#got + 1] = item
      end)
    end
    while true do n = n + 1 pcall(eddy.sleep, 1) end
  end)
  turns(2)
  doomed:cancel()
  doomed:join()
  return queue, got, n > 1e6
end

function TestQueue:test_s143_killed_with_items_in_hand()
  local returned = 0
  for at = 1022, 1025 do
    local queue, got, was_put = kill_with_items_in_hand(at, 3)
    if was_put then
      lu.assertEquals(#got + queue:size(), 3)
      if queue:size() == 3 then
        returned = returned + 1
        lu.assertEquals({ queue:get(), queue:get(), queue:get() }, { 1, 2, 3 })   -- in their old order
      end
    end
  end
  lu.assertEquals(returned, 1)
end

function TestQueue:test_s143_killed_behind_an_immediate_answer()
  -- The getter never has to wait, so now and then it has an item while others get a turn.
  local queue, got, put = eddy.queue(), 0, 0
  local parent = eddy.spawn(function()
    eddy.spawn(function()
      eddy.shield(math.huge, function() while true do queue:get() got = got + 1 end end)
    end)
    while true do pcall(eddy.sleep, 1) end
  end)
  eddy.spawn(function()
    while parent:status() ~= "cancelled" do
      while queue:size() < 300 do put = put + 1 queue:try_put(put) end
      eddy.sleep(0)
    end
  end)
  turns(2)
  parent:cancel()
  parent:join()
  lu.assertEquals(put - got - queue:size(), 0)
  lu.assertEquals(queue:get(), got + 1)
end

function TestQueue:test_s144_cancelled_putter()
  local queue = eddy.queue(1)
  queue:put "first"
  local putter = eddy.spawn(queue.put, queue, "second")
  local kept = eddy.spawn(queue.put, queue, "third")
  turns(1)
  putter:cancel()
  lu.assertEquals({ queue:get(), queue:get() }, { "first", "third" })
  lu.assertTrue(kept:await())
  lu.assertEquals(queue:size(), 0)
  queue:put "fourth"
  local committed = eddy.spawn(queue.put, queue, "fifth")
  turns(1)
  lu.assertEquals(queue:get(), "fourth")   -- now the fifth is in
  committed:cancel()
  lu.assertTrue(committed:await())
  lu.assertEquals({ queue:size(), queue:get() }, { 1, "fifth" })
end

function TestQueue:test_s146_s148_close_with_blocked_putters()
  local queue = eddy.queue(1)
  queue:put "in"
  local putter = eddy.spawn(queue.put, queue, "waiting")
  turns(1)
  lu.assertEquals(queue:close(true), { "in" })   -- what a blocked putter holds is not in it
  local ok, err = putter:await()
  lu.assertNil(ok)
  lu.assertTrue(eddy.is(err, "closed"))
  lu.assertTrue(queue:join())
  lu.assertEquals(queue:close(true), {})
end

function TestQueue:test_s147_close_wakes_getters_in_order()
  local queue, order = eddy.queue(), {}
  for i = 1, 3 do
    eddy.spawn(function()
      local item, err = queue:get()
      order[#order + 1] = item == nil and eddy.is(err, "closed") and i
    end)
  end
  turns(1)
  queue:close()
  turns(1)
  lu.assertEquals(order, { 1, 2, 3 })
end

function TestQueue:test_s148_join_after_close()
  local queue, joined = eddy.queue(), false
  queue:put(1)
  queue:put(2)
  queue:get()
  eddy.spawn(function() queue:join() joined = true end)
  turns(1)
  queue:close(true)
  turns(1)
  lu.assertFalse(joined)   -- the one that was got is not done
  queue:task_done()
  turns(1)
  lu.assertTrue(joined)
end

function TestQueue:test_s149_break_leaves_items()
  local queue = eddy.queue()
  for i = 1, 3 do queue:put(i) end
  for item in queue:iter() do if item == 1 then break end end
  lu.assertEquals({ queue:size(), queue:get() }, { 2, 2 })
end

function TestQueue:test_s149_false_does_not_end_the_iteration()
  local queue, seen = eddy.queue(), {}
  queue:put(1)
  queue:put(false)
  queue:put(3)
  queue:close()
  for item in queue:iter() do seen[#seen + 1] = item end
  lu.assertEquals(seen, { 1, false, 3 })
end

function TestQueue:test_s150_cancelled_join_changes_nothing()
  local queue = eddy.queue()
  queue:put(1)
  local joiner = eddy.spawn(queue.join, queue)
  turns(1)
  joiner:cancel()
  joiner:join()
  queue:get()
  queue:task_done()
  lu.assertTrue(queue:join())
  lu.assertErrorMsgContains("more often", queue.task_done, queue)
end

function TestQueue:test_outside_s153_blocked_tasks_are_named()
  local ok, err = pcall(eddy.run, function()
    eddy.spawn_with({ name = "getter" }, function() eddy.queue():get() end)
    eddy.spawn_with({ name = "putter" }, function() eddy.queue(0):put(1) end)
    eddy.sleep(0)
    collectgarbage() collectgarbage()
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"))
  lu.assertStrContains(err.message, "getter: waiting in queue:get")
  lu.assertStrContains(err.message, "putter: waiting in queue:put")
end

function TestQueue:test_items_are_let_go()
  local queue = eddy.queue()
  local weak = setmetatable({}, { __mode = "k" })
  for _ = 1, 20 do
    local item = {}
    weak[item] = true
    queue:put(item)
  end
  for _ = 1, 20 do queue:get() end
  collectgarbage() collectgarbage()
  lu.assertNil(next(weak))
end

TestQueue.config = { on_error = ignore }

return { TestQueue = TestQueue }
