-- SPDX-License-Identifier: MIT
-- The orders of queues: every rule of hand-off holds for each. Numbers are those of the statements.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function ignore() end

local ORDERS = { "fifo", "lifo", "priority" }

local function each_order(fn)
  for _, order in ipairs(ORDERS) do fn(order, function(max) return eddy.queue(max, { order = order }) end) end
end

local function drain(queue)
  local items = {}
  for i = 1, queue:size() do items[i] = queue:get() end
  return items
end

local TestOrder = { config = { on_error = ignore } }

function TestOrder:test_s151_orders()
  local lifo, priority = eddy.queue(nil, { order = "lifo" }), eddy.queue(nil, { order = "priority" })
  for i = 1, 40 do
    lifo:put(i)
    priority:put(i, -(i // 10))
  end
  local backward, by_tens = {}, {}
  for i = 1, 40 do backward[i] = 41 - i end
  for ten = 4, 0, -1 do
    for i = 1, 40 do if i // 10 == ten then by_tens[#by_tens + 1] = i end end
  end
  lu.assertEquals(drain(lifo), backward)
  lu.assertEquals(drain(priority), by_tens)
end

function TestOrder:test_s151_priorities_compare_as_numbers_do()
  local queue = eddy.queue(nil, { order = "priority" })
  local keys = { math.huge, 1 << 62, (1 << 62) + 1, 0.5, 0, -0.0, -math.huge, math.mininteger, math.maxinteger, 2 ^ 53,
    (1 << 53) + 1, 2 ^ 63, -2 ^ 63, 1, 1.0 }
  for i, key in ipairs(keys) do queue:put(i, key) end
  local sorted = {}
  for i = 1, #keys do sorted[i] = i end
  table.sort(sorted, function(a, b)
    if keys[a] ~= keys[b] then return keys[a] < keys[b] end
    return a < b
  end)
  lu.assertEquals(drain(queue), sorted)
end

function TestOrder:test_s151_the_default_is_0_and_a_table_that_changes_stays_where_it_is()
  local queue = eddy.queue(nil, { order = "priority" })
  local item = { priority = 1 }
  queue:put(item, item.priority)
  queue:put "default"
  queue:put("first", -1)
  item.priority = -5
  lu.assertEquals(drain(queue), { "first", "default", item })
end

function TestOrder:test_misuse()
  lu.assertErrorMsgContains("unknown queue order 'sorted'", eddy.queue, 1, { order = "sorted" })
  lu.assertErrorMsgContains("unknown queue option 'ordre'", eddy.queue, 1, { ordre = "lifo" })
  lu.assertErrorMsgContains("string expected", eddy.queue, 1, { order = 5 })
  lu.assertErrorMsgContains("table expected", eddy.queue, 1, "lifo")
  local fifo, priority = eddy.queue(), eddy.queue(nil, { order = "priority" })
  lu.assertErrorMsgContains("no priorities", fifo.put, fifo, 1, 1)
  lu.assertErrorMsgContains("number expected", priority.put, priority, 1, "high")
  lu.assertErrorMsgContains("NaN", priority.try_put, priority, 1, 0 / 0)
  lu.assertEquals({ fifo:size(), priority:size() }, { 0, 0 })
  lu.assertTrue(fifo:try_put(1, nil))
end

function TestOrder:test_false_is_an_item()
  each_order(function(_, new)
    local queue = new(2)
    queue:put(false)
    lu.assertEquals(queue:size(), 1)
    lu.assertIs(queue:get(), false)
  end)
end

function TestOrder:test_s140_s141_hand_off()
  each_order(function(_, new)
    local queue, got = new(1), nil
    local getter = eddy.spawn(function() got = queue:get() end)
    turns(1)
    queue:put "handed"
    lu.assertNil(queue:try_get())
    getter:await()
    lu.assertEquals(got, "handed")
    queue:put "lies"
    local putter = eddy.spawn(queue.put, queue, "blocked")
    turns(1)
    lu.assertEquals(queue:get(), "lies")
    lu.assertFalse(queue:try_put "thief")   -- the room is the putter's
    lu.assertTrue(putter:await())
    lu.assertEquals(drain(queue), { "blocked" })
  end)
end

function TestOrder:test_a_blocked_putter_keeps_its_priority()
  local queue = eddy.queue(1, { order = "priority" })
  queue:put("middle", 5)
  local putters = { eddy.spawn(queue.put, queue, "low", 9), eddy.spawn(queue.put, queue, "high", 1) }
  turns(1)
  lu.assertEquals(queue:get(), "middle")
  lu.assertEquals(queue:get(), "low")     -- putters are served in the order of their arrival
  lu.assertEquals(queue:get(), "high")
  for _, task in ipairs(putters) do lu.assertTrue(task:await()) end
end

function TestOrder:test_s142_s144_cancelled()
  each_order(function(_, new)
    local queue = new(1)
    local getter = eddy.spawn(queue.get, queue)
    turns(1)
    getter:cancel()
    queue:put(1)
    local putter = eddy.spawn(queue.put, queue, 2)
    turns(1)
    putter:cancel()
    getter:join()
    putter:join()
    lu.assertEquals(drain(queue), { 1 })
  end)
end

function TestOrder:test_s146_s148_closing()
  each_order(function(order, new)
    local queue = new(3)
    for i = 1, 3 do queue:put(i, order == "priority" and -i or nil) end
    local putter = eddy.spawn(queue.put, queue, 4)
    local joiner = eddy.spawn(queue.join, queue)
    turns(1)
    lu.assertEquals(queue:close(true), { 1, 2, 3 })   -- oldest first, whatever the order
    local ok, err = putter:await()
    lu.assertNil(ok)
    lu.assertTrue(eddy.is(err, "closed"))
    lu.assertTrue(joiner:await())
    lu.assertNil((queue:put(5)))
    lu.assertEquals(queue:close(true), {})
    queue = new()
    queue:put "kept"
    queue:close()
    lu.assertEquals(queue:get(), "kept")
    lu.assertNil((queue:get()))
  end)
end

function TestOrder:test_s150_join_counts()
  each_order(function(_, new)
    local queue = new()
    for i = 1, 3 do queue:put(i) end
    local joiner = eddy.spawn(queue.join, queue)
    for _ = 1, 3 do
      turns(1)
      lu.assertEquals(joiner:status(), "waiting")
      queue:get()
      queue:task_done()
    end
    lu.assertTrue(joiner:await())
    lu.assertErrorMsgContains("more often", queue.task_done, queue)
  end)
end

function TestOrder:test_s143_a_killed_getters_item_is_next_out()
  each_order(function(order, new)
    for _, at in ipairs(killed.TURNS) do
      local queue, got, handed = new(), 0, nil
      local function body() queue:get() got = got + 1 end
      killed.around({ body, body }, function()
        for i = 1, 5 do queue:put(i, order == "priority" and -i or nil) end
        handed = queue:size() == 3
      end, at)
      lu.assertEquals(queue:size() + got, 5)
      if handed and got == 0 then
        local items = drain(queue)
        lu.assertEquals({ order, items[1], items[2] }, { order, 1, 2 })
      end
    end
  end)
end

function TestOrder:test_rendezvous()
  each_order(function(_, new)
    local queue = new(0)
    lu.assertFalse(queue:try_put(1))
    local putter = eddy.spawn(queue.put, queue, 1)
    turns(1)
    lu.assertEquals(queue:get(), 1)
    lu.assertTrue(putter:await())
  end)
end

function TestOrder:test_iteration()
  each_order(function(order, new)
    local queue, seen = new(), {}
    for i = 1, 3 do queue:put(i) end
    queue:close()
    for item in queue:iter() do seen[#seen + 1] = item end
    lu.assertEquals(seen, order == "lifo" and { 3, 2, 1 } or { 1, 2, 3 })
  end)
end

-- ---- Against a model: a plain list --------------------------------------------------------------

local TestModel = { clock = "manual" }

local function model_take(order, list)
  local at = 1
  if order == "lifo" then at = #list end
  if order == "priority" then
    for i = 2, #list do if list[i].key < list[at].key then at = i end end
  end
  return table.remove(list, at).value
end

local function random_steps(order, seed)
  math.randomseed(seed)
  local queue, model, n = eddy.queue(8, { order = order }), {}, 0
  for _ = 1, 400 do
    if math.random() < 0.55 then
      n = n + 1
      local key = math.random(1, 4)
      local ok = queue:try_put(n, order == "priority" and key or nil)
      lu.assertEquals(ok, #model < 8)
      if ok then model[#model + 1] = { value = n, key = key } end
    else
      local item = queue:try_get()
      lu.assertEquals(item, #model > 0 and model_take(order, model) or nil)
    end
    lu.assertEquals(queue:size(), #model)
  end
end

function TestModel:test_s152_one_task()
  for _, order in ipairs(ORDERS) do for seed = 1, 5 do random_steps(order, seed) end end
end

-- Tasks that put and take, with deadlines and cancels: nothing is lost or doubled.
local function conserve(order, seed)
  math.randomseed(seed)
  local queue, other = eddy.queue(math.random(0, 3), { order = order }), eddy.queue()
  local put, taken = {}, {}
  local function take(item) if item then taken[#taken + 1] = item end end
  eddy.group(function(group)
    for i = 1, 60 do
      local key = order == "priority" and math.random(1, 3) or nil
      local task = group:spawn(function()
        eddy.within(math.random() * 0.003, function()
          if queue:put(i, key) then put[i] = true end
        end)
      end)
      local getter = group:spawn(function()
        eddy.within(math.random() * 0.003, function()
          if math.random() < 0.5 then take(queue:get()) else take((select(2, eddy.select { other, queue }))) end
        end)
      end)
      if math.random() < 0.2 then task:cancel() end
      if math.random() < 0.2 then getter:cancel() end
      if math.random() < 0.3 then eddy.sleep(math.random(0, 1) * 0.001) end
    end
  end)
  while queue:size() > 0 do take(queue:try_get()) end
  table.sort(taken)
  local expected = {}
  for i = 1, 60 do if put[i] then expected[#expected + 1] = i end end
  lu.assertEquals(taken, expected, order .. " seed " .. seed)
end

function TestModel:test_s152_many_tasks()
  for _, order in ipairs(ORDERS) do for seed = 1, 10 do conserve(order, seed) end end
end

return { TestOrder = TestOrder, TestModel = TestModel }
