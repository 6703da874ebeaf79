-- SPDX-License-Identifier: MIT
-- select: one of several, and nothing from the others.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function ignore() end

local TestSelect = { clock = "manual", config = { on_error = ignore } }

function TestSelect:test_the_lowest_ready_index_wins()
  local one, two, event = eddy.queue(), eddy.queue(), eddy.event()
  two:put "two"
  event:set()
  lu.assertEquals({ eddy.select { one, two, event } }, { 2, "two" })
  lu.assertEquals({ eddy.select { one, two, event } }, { 3, true })
  one:put "one"
  lu.assertEquals({ eddy.select { one, one, event } }, { 1, "one" })
  lu.assertEquals({ one:size(), two:size() }, { 0, 0 })
end

function TestSelect:test_a_queue_hands_over()
  local queues, tasks = { eddy.queue(), eddy.queue(0), eddy.queue(1) }, {}
  for i = 1, 3 do tasks[i] = eddy.spawn(eddy.select, queues) end
  turns(1)
  for i = 3, 1, -1 do lu.assertTrue(queues[i]:try_put(i * 10)) end
  lu.assertEquals({ queues[1]:size(), queues[2]:size(), queues[3]:size() }, { 0, 0, 0 })
  lu.assertNil(queues[3]:try_get())   -- handed over: nobody steals it
  lu.assertEquals({ tasks[1]:await() }, { 3, 30 })
  lu.assertEquals({ tasks[2]:await() }, { 2, 20 })
  lu.assertEquals({ tasks[3]:await() }, { 1, 10 })
end

function TestSelect:test_it_stands_in_line_like_anybody()
  local queue, log = eddy.queue(), {}
  local function note(i, item) log[#log + 1] = { i, item } end
  local tasks = {
    eddy.spawn(function() note(1, queue:get()) end),
    eddy.spawn(function() note(2, (select(2, eddy.select { eddy.queue(), queue }))) end),
    eddy.spawn(function() note(3, queue:get()) end),
  }
  turns(1)
  for i = 1, 3 do queue:put(i) end
  for _, task in ipairs(tasks) do task:await() end
  lu.assertEquals(log, { { 1, 1 }, { 2, 2 }, { 3, 3 } })
end

function TestSelect:test_a_loser_leaves_no_trace()
  local one, two, event = eddy.queue(), eddy.queue(), eddy.event()
  local task = eddy.spawn(eddy.select, { one, two, event })
  turns(1)
  event:set()
  one:put "later"
  two:put "later"
  lu.assertEquals({ task:await() }, { 3, true })
  lu.assertEquals({ one:size(), two:size() }, { 1, 1 })
end

function TestSelect:test_a_blocked_putter_is_served()
  local queue = eddy.queue(0)
  local putter = eddy.spawn(queue.put, queue, "item")
  turns(1)
  lu.assertEquals({ eddy.select { eddy.event(), queue } }, { 2, "item" })
  lu.assertTrue(putter:await())
end

function TestSelect:test_closed_queues()
  local queue = eddy.queue()
  queue:put "last"
  queue:close()
  lu.assertEquals({ eddy.select { queue } }, { 1, "last" })
  local i, value, err = eddy.select { queue }
  lu.assertEquals({ i, value, err.kind }, { 1, nil, "closed" })
  queue = eddy.queue()
  local task = eddy.spawn(eddy.select, { eddy.event(), queue })
  turns(1)
  queue:close()
  i, value, err = task:await()
  lu.assertEquals({ i, value, err.kind }, { 2, nil, "closed" })
end

function TestSelect:test_tasks()
  local task = eddy.spawn(function() eddy.sleep(1) return "result" end)
  lu.assertEquals({ eddy.select { eddy.event(), task } }, { 2, true })
  lu.assertEquals(task:await(), "result")
  lu.assertEquals({ eddy.select { task } }, { 1, true })
  local failing = eddy.spawn(function() eddy.sleep(1) error "told by await" end)
  lu.assertEquals({ eddy.select { failing } }, { 1, true })
  lu.assertErrorMsgContains("told by await", failing.await, failing)
  lu.assertErrorMsgContains("cannot await itself", eddy.select, { eddy.current() })
end

function TestSelect:test_futures()
  local future, failed = eddy.future(), eddy.future()
  local task = eddy.spawn(eddy.select, { eddy.event(), future, failed })
  turns(1)
  failed:fail "told by await"
  lu.assertEquals({ task:await() }, { 3, true })
  lu.assertErrorMsgContains("told by await", failed.await, failed)
  future:set(5, 6)
  lu.assertEquals({ eddy.select { future, failed } }, { 1, true })
  lu.assertEquals({ future:await() }, { 5, 6 })
end

function TestSelect:test_timeout()
  local start = eddy.now()
  lu.assertEquals(table.pack(eddy.select { eddy.queue(), timeout = 2 }), { nil, n = 1 })
  lu.assertAlmostEquals(eddy.now() - start, 2, 1e-6)
  lu.assertNil(eddy.select { timeout = 1 })
  lu.assertNil(eddy.select { eddy.event(), timeout = 0 })
  local event = eddy.event()
  event:set()
  lu.assertEquals(eddy.select { event, timeout = 0 }, 1)
  eddy.spawn(function() eddy.sleep(1) event:set() end)
  event:clear()
  lu.assertEquals(eddy.select { event, timeout = math.huge }, 1)
  lu.assertEquals(eddy.stats().timers, 0)
end

function TestSelect:test_misuse()
  lu.assertErrorMsgContains("nothing to wait for", eddy.select, {})
  lu.assertErrorMsgContains("table expected", eddy.select)
  lu.assertErrorMsgContains("member 2: queue, event, task or future expected, got number", eddy.select, { eddy.event(), 5 })
  lu.assertErrorMsgContains("unknown select option 'tiemout'", eddy.select, { eddy.event(), tiemout = 5 })
  lu.assertErrorMsgContains("unknown select option '0'", eddy.select, { eddy.event(), [0] = eddy.event() })
  lu.assertErrorMsgContains("number", eddy.select, { eddy.event(), timeout = "soon" })
  lu.assertErrorMsgContains("NaN", eddy.select, { eddy.event(), timeout = 0 / 0 })
end

function TestSelect:test_the_list_may_change_meanwhile()
  local list = { eddy.queue(), eddy.event() }
  local queue = list[1]
  local task = eddy.spawn(eddy.select, list)
  turns(1)
  list[1], list[2] = nil, nil
  collectgarbage()
  queue:put "x"
  lu.assertEquals({ task:await() }, { 1, "x" })
end

function TestSelect:test_many_objects()
  local list = {}
  for i = 1, 300 do list[i] = eddy.queue() end
  local task = eddy.spawn(eddy.select, list)
  turns(1)
  list[277]:put "there"
  lu.assertEquals({ task:await() }, { 277, "there" })
end

function TestSelect:test_busy_queues_let_others_run()
  local queue, other = eddy.queue(), false
  for i = 1, 1000 do queue:put(i) end
  turns(1)
  eddy.spawn(function() other = true end)
  for i = 1, 1000 do lu.assertEquals({ eddy.select { queue } }, { 1, i }) end
  lu.assertTrue(other)
end

function TestSelect:test_granted_then_cancelled_is_delivered()
  local queue, got = eddy.queue(), nil
  local task = eddy.spawn(function()
    got = { eddy.select { eddy.event(), queue } }
    eddy.sleep(0)
    error "not reached"
  end)
  turns(1)
  queue:put "item"
  task:cancel()
  task:join()
  lu.assertEquals({ got, task:status() }, { { 2, "item" }, "cancelled" })
end

function TestSelect:test_killed_with_items_in_hand()
  for _, order in ipairs { "fifo", "lifo", "priority" } do
    for _, at in ipairs(killed.TURNS) do
      local queue, other, got = eddy.queue(nil, { order = order }), eddy.event(), 0
      local function body()
        eddy.select { other, queue }
        got = got + 1
      end
      local handed
      killed.around({ body, body, body }, function()
        for i = 1, 3 do queue:put(i) end
        handed = queue:size() == 0
      end, at)
      lu.assertEquals(queue:size() + got, 3)
      if got == 0 then
        local items = { queue:get(), queue:get(), queue:get() }
        -- Each back where it is next, in the old order.
        lu.assertEquals(items, order == "lifo" and not handed and { 3, 2, 1 } or { 1, 2, 3 }, order)
      end
    end
  end
end

function TestSelect:test_outside()
  lu.assertErrorMsgContains("outside a task", eddy.select, { eddy.event() })
  local ok, err = pcall(eddy.run, eddy.select, { eddy.event(), eddy.queue() })
  lu.assertFalse(ok)
  lu.assertStrContains(err.message, "waiting in select of 2 things")
end
TestSelect.test_outside_deadlock, TestSelect.test_outside = TestSelect.test_outside, nil

return { TestSelect = TestSelect }
