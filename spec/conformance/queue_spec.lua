-- SPDX-License-Identifier: MIT
-- Statements 137 to 153: queues. One test for each, named by its number.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local TestQueue = { clock = "manual", config = { on_error = function() end } }

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

-- `n` tasks that wait one after the other for an item and note { number, item }.
local function getters(queue, n, log)
  local tasks = {}
  for i = 1, n do
    tasks[i] = eddy.spawn(function()
      local item = queue:get()
      log[#log + 1] = { i, item }
    end)
    turns(1)
  end
  return tasks
end

-- A task for each item that puts it and notes what `put` returned.
local function putters(queue, log, ...)
  local tasks = {}
  for i, item in ipairs { ... } do
    tasks[i] = eddy.spawn(function()
      local ok, err = queue:put(item)
      log[#log + 1] = { item, ok or err.kind }
    end)
    turns(1)
  end
  return tasks
end

local function drain(queue)
  local items = {}
  for item in function() return queue:try_get() end do items[#items + 1] = item end
  return items
end

function TestQueue:test_s137_first_in_first_out()
  local queue, log = eddy.queue(2), {}
  local got = getters(queue, 2, log)
  for i = 1, 2 do queue:put(i) end
  eddy.gather(got)
  lu.assertEquals(log, { { 1, 1 }, { 2, 2 } })
  log = {}
  local put = putters(queue, log, "a", "b", "c", "d", "e")
  lu.assertEquals(log, { { "a", true }, { "b", true } })
  local items = {}
  for i = 1, 5 do items[i] = queue:get() turns(1) end
  eddy.gather(put)
  lu.assertEquals(items, { "a", "b", "c", "d", "e" })
  lu.assertEquals(log, { { "a", true }, { "b", true }, { "c", true }, { "d", true }, { "e", true } })
end

function TestQueue:test_s138_capacities()
  local rendezvous, log = eddy.queue(0), {}
  putters(rendezvous, log, "x")
  turns(3)
  lu.assertEquals({ log, rendezvous:try_put "y" }, { {}, false })
  lu.assertEquals(rendezvous:get(), "x")
  turns(1)
  lu.assertEquals(log, { { "x", true } })
  local small = eddy.queue(3)
  for i = 1, 3 do lu.assertTrue(small:try_put(i)) end
  lu.assertEquals({ small:try_put(4), small:size() }, { false, 3 })
  local unbounded = eddy.queue()
  for i = 1, 10000 do if not unbounded:try_put(i) then error "full" end end
  lu.assertEquals(unbounded:size(), 10000)
  for _, bad in ipairs { 1.5, -1, "ten", 0 / 0 } do lu.assertError(eddy.queue, bad) end
end

function TestQueue:test_s139_false_is_an_item_and_nil_is_none()
  local queue = eddy.queue(1)
  queue:put(false)
  lu.assertIs(queue:get(), false)
  lu.assertTrue(queue:try_put(false))
  lu.assertIs(queue:try_get(), false)
  lu.assertErrorMsgContains("queue_spec.lua", function() queue:put(nil) end)
  lu.assertError(queue.try_put, queue, nil)
  lu.assertEquals(queue:size(), 0)
end

function TestQueue:test_s140_an_item_in_hand_is_not_stolen()
  local queue, log = eddy.queue(), {}
  local got = getters(queue, 1, log)
  queue:put "item"
  lu.assertEquals({ queue:try_get(), queue:size() }, { nil, 0 })
  got[1]:await()
  lu.assertEquals(log, { { 1, "item" } })
end

function TestQueue:test_s141_a_freed_slot_is_not_stolen()
  local queue, log = eddy.queue(1), {}
  queue:put "first"
  local put = putters(queue, log, "second")
  lu.assertEquals({ queue:get(), queue:try_put "thief" }, { "first", false })
  put[1]:await()
  lu.assertEquals(drain(queue), { "second" })
end

function TestQueue:test_s142_a_cancelled_getter_takes_nothing()
  local queue, log = eddy.queue(), {}
  local got = getters(queue, 3, log)
  got[1]:cancel()
  for i = 1, 3 do queue:put(i) end
  eddy.settle(got)
  lu.assertEquals(log, { { 2, 1 }, { 3, 2 } })
  lu.assertEquals(drain(queue), { 3 })
end

function TestQueue:test_s143_granted_then_cancelled_or_killed()
  local queue, log = eddy.queue(), {}
  local got = getters(queue, 1, log)
  queue:put "item"
  got[1]:cancel()
  got[1]:join()
  lu.assertEquals(log, { { 1, "item" } })            -- the commit wins
  local given_back = 0
  for _, at in ipairs(killed.TURNS) do
    local taken
    killed.around({ function() taken = queue:get() eddy.sleep(1000) end }, function()
      queue:put "first"
      queue:put "second"
    end, at)
    local items = drain(queue)
    if taken then
      lu.assertEquals({ taken, items }, { "first", { "second" } })
    else
      given_back = given_back + 1
      lu.assertEquals(items, { "first", "second" })  -- to the front
    end
  end
  lu.assertTrue(given_back > 0)
end

function TestQueue:test_s144_a_cancelled_putter()
  local queue, log = eddy.queue(1), {}
  queue:put "first"
  local put = putters(queue, log, "second")
  put[1]:cancel()
  put[1]:join()
  lu.assertEquals({ log, drain(queue) }, { {}, { "first" } })
  queue:put "first"
  putters(queue, log, "second")
  lu.assertEquals(queue:get(), "first")
  turns(1)
  lu.assertEquals(drain(queue), { "second" })        -- once
  queue:put "first"
  put = putters(queue, log, "third")
  queue:get()                                        -- committed now
  put[1]:cancel()
  put[1]:join()
  lu.assertEquals({ drain(queue), log[#log] }, { { "third" }, { "third", true } })
end

function TestQueue:test_s145_two_puts_for_the_getters_that_are_left()
  local queue, log = eddy.queue(), {}
  local got = getters(queue, 3, log)
  queue:put "a"                                      -- the first has it in hand, the second is cancelled
  got[2]:cancel()
  queue:put "b"
  eddy.settle(got)
  lu.assertEquals(log, { { 1, "a" }, { 3, "b" } })
  log = {}
  got = getters(queue, 3, log)
  got[1]:cancel()
  queue:put "a"
  queue:put "b"
  eddy.settle(got)
  lu.assertEquals(log, { { 2, "a" }, { 3, "b" } })
end

function TestQueue:test_s146_close()
  local queue, log = eddy.queue(2), {}
  local put = putters(queue, log, "a", "b", "c", "d")
  queue:close()
  eddy.gather(put)
  lu.assertEquals(log, { { "a", true }, { "b", true }, { "c", "closed" }, { "d", "closed" } })
  local others = 0
  eddy.spawn(function() others = others + 1 end)
  local ok, err = queue:put "e"
  lu.assertEquals({ ok, err.kind, others }, { nil, "closed", 0 })
  ok, err = queue:try_put "e"
  lu.assertEquals({ ok, err.kind }, { nil, "closed" })
  lu.assertEquals({ queue:get(), queue:get() }, { "a", "b" })
  for _, get in ipairs { queue.get, queue.try_get } do
    ok, err = get(queue)
    lu.assertEquals({ ok, err.kind }, { nil, "closed" })
  end
end

function TestQueue:test_s147_close_wakes_getters_in_order()
  local queue, log = eddy.queue(), {}
  getters(queue, 3, log)
  queue:close()
  queue:close()
  turns(2)
  lu.assertEquals(log, { { 1 }, { 2 }, { 3 } })
end

function TestQueue:test_s148_close_that_discards()
  local queue, log = eddy.queue(3), {}
  local put = putters(queue, log, "a", "b", "c", "blocked")
  lu.assertEquals(queue:get(), "a")                  -- taken, and not yet done; "blocked" moves up
  eddy.gather(put)
  put = putters(queue, log, "too late")
  local joined = false
  local join = eddy.spawn(function() queue:join() joined = true end)
  turns(1)
  lu.assertEquals(queue:close(true), { "b", "c", "blocked" })
  eddy.gather(put)
  lu.assertEquals(log[#log], { "too late", "closed" })
  turns(2)
  lu.assertEquals({ queue:size(), joined }, { 0, false })
  queue:task_done()                                  -- the one that had been taken
  join:await()
  lu.assertTrue(joined)
end

function TestQueue:test_s149_iteration()
  local queue, seen = eddy.queue(), {}
  for i = 1, 4 do queue:put(i) end
  for item in queue:iter() do
    seen[#seen + 1] = item
    if item == 2 then break end
  end
  lu.assertEquals({ seen, queue:size() }, { { 1, 2 }, 2 })
  eddy.spawn(function() eddy.sleep(1) queue:put(false) eddy.sleep(1) queue:close() end)
  for item in queue:iter() do seen[#seen + 1] = item end
  lu.assertEquals(seen, { 1, 2, 3, 4, false })
end

function TestQueue:test_s150_join_and_task_done()
  local queue, log = eddy.queue(), {}
  queue:join()                                       -- nothing unfinished
  for i = 1, 2 do queue:put(i) end
  local join = eddy.spawn(function() queue:join() log[#log + 1] = "joined" end)
  local cancelled = eddy.spawn(function() queue:join() end)
  turns(1)
  cancelled:cancel()
  cancelled:join()
  drain(queue)
  queue:task_done()
  turns(2)
  lu.assertEquals(log, {})                           -- taken is not done, and the cancel counted for nothing
  queue:task_done()
  join:await()
  lu.assertErrorMsgContains("queue_spec.lua", function() queue:task_done() end)
end

function TestQueue:test_s151_orders()
  local queue = eddy.queue(nil, { order = "priority" })
  local first, second = { "first" }, { "second" }
  queue:put(first, 5)
  queue:put(second, 5)
  queue:put("small", -1.5)
  queue:put "default"
  first.priority = -100                              -- what is queued stays where it was put
  lu.assertEquals({ queue:get(), queue:get() }, { "small", "default" })
  lu.assertIs(queue:get(), first)
  lu.assertIs(queue:get(), second)
  local keys = {}
  for i = 1, 500 do
    local key = (i * 7919) % 101
    queue:put({ key, i }, key)
  end
  for i = 1, 500 do keys[i] = queue:get() end
  for i = 2, 500 do
    local a, b = keys[i - 1], keys[i]
    lu.assertTrue(a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]), i)
  end
  local stack = eddy.queue(nil, { order = "lifo" })
  for i = 1, 3 do stack:put(i) end
  lu.assertEquals({ stack:get(), stack:get() }, { 3, 2 })
  stack:put(4)
  lu.assertEquals({ stack:get(), stack:get() }, { 4, 1 })
  lu.assertError(eddy.queue, 1, { order = "random" })
end

local STEPS = tonumber(os.getenv "EDDY_MODEL_STEPS") or 60000   -- the statement: a million

-- A queue as plain as can be: items and blocked putters in one list, of which the first `max` are in.
function TestQueue:test_s152_a_model()
  local MAX = 4
  local queue = eddy.queue(MAX)
  local model, blocked, waiting = {}, {}, {}         -- items; { item, task }; { task, slot }
  local seed, next_item, got, expected = 2026, 0, {}, {}
  local function random(n) seed = (seed * 1103515245 + 12345) % 2^31 return seed // 65536 % n end
  local function refill()
    while #model < MAX and #blocked > 0 do model[#model + 1] = table.remove(blocked, 1)[1] end
  end
  local function model_put(item, task)
    if #waiting > 0 then expected[table.remove(waiting, 1)[2]] = item
    elseif #model < MAX then model[#model + 1] = item
    else blocked[#blocked + 1] = { item, task } end
  end
  local actions = {
    function()                                       -- put
      next_item = next_item + 1
      local item = next_item
      local task = eddy.spawn(queue.put, queue, item)
      turns(1)
      model_put(item, task)
    end,
    function()                                       -- get
      next_item = next_item + 1
      local slot = next_item
      local task = eddy.spawn(function() got[slot] = queue:get() end)
      turns(1)
      if #model > 0 then
        expected[slot] = table.remove(model, 1)
        refill()
      else
        waiting[#waiting + 1] = { task, slot }
      end
    end,
    function()                                       -- try_put
      next_item = next_item + 1
      local ok = queue:try_put(next_item)
      lu.assertEquals(ok, #model < MAX and #blocked == 0)
      if ok then model_put(next_item) end
    end,
    function()                                       -- try_get
      local item = queue:try_get()
      lu.assertEquals(item, model[1])
      if item then
        table.remove(model, 1)
        refill()
      end
    end,
    function()                                       -- cancel somebody who waits
      local list = random(2) == 0 and blocked or waiting
      if #list == 0 then return end
      local entry = table.remove(list, 1 + random(#list))
      local task = list == blocked and entry[2] or entry[1]
      task:cancel()
      task:join()
    end,
  }
  local base = eddy.stats().operations
  for step = 1, STEPS // 4 do                        -- a step of these is about four operations
    actions[1 + random(5)]()
    turns(1)
    if queue:size() ~= #model then error(("step %d: size %d, not %d"):format(step, queue:size(), #model)) end
    if eddy.stats().operations - base ~= #blocked + #waiting then error(("step %d: waiters"):format(step)) end
  end
  turns(2)
  lu.assertEquals(got, expected)
  for _, entry in ipairs(blocked) do entry[2]:cancel() end
  for _, entry in ipairs(waiting) do entry[1]:cancel() end
end

function TestQueue:test_outside_s153_a_forgotten_queue_with_blocked_tasks()
  local ok, err = pcall(eddy.run, function()
    eddy.spawn_with({ name = "forgotten getter" }, function() eddy.queue():get() end)
    eddy.spawn_with({ name = "forgotten putter" }, function() eddy.queue(0):put(1) end)
    turns(1)
    collectgarbage()
    collectgarbage()
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"))
  lu.assertStrContains(err.message, "forgotten getter")
  lu.assertStrContains(err.message, "forgotten putter")
  lu.assertStrContains(err.message, "queue:get")
end

return { TestQueue = TestQueue }
