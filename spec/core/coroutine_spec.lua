-- SPDX-License-Identifier: MIT
-- eddy.coroutine: awaits pass through ordinary coroutines; all else is as in Lua's own library.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"
local stock = require "spec.support.stock"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function on_close(fn) return setmetatable({}, { __close = function(_, err) fn(err) end }) end

local TestAwaits = { clock = "manual" }

function TestAwaits:test_s154_at_every_depth()
  local function deep(n)
    if n == 0 then eddy.sleep(1) return "bottom", nil, 3 end
    local results = table.pack(coroutine.wrap(function() return deep(n - 1) end)())
    return table.unpack(results, 1, results.n)
  end
  for _, n in ipairs { 1, 2, 8, 100 } do
    lu.assertEquals(table.pack(deep(n)), { "bottom", nil, 3, n = 3 })
  end
  local ok, err = pcall(deep, 300)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "C stack overflow")
  lu.assertEquals(deep(8), "bottom")
end

function TestAwaits:test_s155_yielded_values_are_never_taken_for_a_wait()
  local task = eddy.spawn(eddy.sleep, 1)
  local values = { {}, { n = 1 }, { task, n = 1 }, { nil, nil, n = 2 }, { eddy.queue(), false, n = 2 } }
  local generator = coroutine.wrap(function()
    for _, list in ipairs(values) do
      eddy.sleep(1)
      coroutine.yield(table.unpack(list, 1, list.n or 0))
      eddy.sleep(0)
    end
  end)
  for _, list in ipairs(values) do
    local got = table.pack(generator())
    lu.assertEquals(got.n, list.n or 0)
    for i = 1, got.n do lu.assertTrue(rawequal(got[i], list[i])) end
  end
  lu.assertEquals(select("#", generator()), 0)
end

function TestAwaits:test_two_tasks_take_turns_with_one_generator()
  local generator = coroutine.wrap(function() for i = 1, 6 do eddy.sleep(1) coroutine.yield(i) end end)
  local seen, lock = {}, eddy.semaphore(1)
  local function reader() for _ = 1, 3 do lock:with(function() seen[#seen + 1] = generator() end) end end
  eddy.gather(reader, reader)
  lu.assertEquals(seen, { 1, 2, 3, 4, 5, 6 })
end

function TestAwaits:test_s156_a_waiting_coroutine_belongs_to_its_task()
  local co, inside
  local task = eddy.spawn(function()
    co = coroutine.create(function()
      inside = coroutine.status(coroutine.running())
      eddy.sleep(1)
      return "slept"
    end)
    return coroutine.resume(co)
  end)
  turns(1)
  lu.assertEquals({ inside, coroutine.status(co) }, { "running", "normal" })
  local ok, err = coroutine.resume(co)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "waiting in an await")
  lu.assertErrorMsgContains("waiting in an await", coroutine.wrap(function() return coroutine.close(co) end))
  lu.assertEquals({ task:await() }, { true, "slept" })
  lu.assertEquals(coroutine.status(co), "dead")
end

function TestAwaits:test_s157_closing_it_is_refused_and_nothing_is_lost()
  local co
  local queue = eddy.queue()
  local task = eddy.spawn(function()
    co = coroutine.create(function() return queue:get() end)
    return select(2, coroutine.resume(co))
  end)
  turns(1)
  lu.assertErrorMsgContains("cannot close a coroutine that is waiting", coroutine.close, co)
  queue:put "item"
  lu.assertEquals(task:await(), "item")
end

function TestAwaits:test_s051_cancel_raises_in_the_innermost()
  local said = {}
  local task = eddy.spawn(function()
    local _ <close> = on_close(function() said[#said + 1] = "task" end)
    coroutine.wrap(function()
      local _ <close> = on_close(function() said[#said + 1] = "outer" end)
      coroutine.wrap(function()
        local _ <close> = on_close(function(err) said[#said + 1] = "inner" said.err = err end)
        eddy.sleep(100)
      end)()
    end)()
  end)
  turns(1)
  task:cancel "why"
  local _, err = task:join()
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals({ said[1], said[2], said[3] }, { "inner", "outer", "task" })
  lu.assertTrue(rawequal(said.err, err))
  lu.assertEquals(err.reason, "why")
end

function TestAwaits:test_killed_inside()
  local said = {}
  local task = eddy.spawn(function()
    local _ <close> = on_close(function() said[#said + 1] = "task" end)
    coroutine.wrap(function()
      local _ <close> = on_close(function() said[#said + 1] = "inner" end)
      while true do pcall(eddy.sleep, 1) end
    end)()
  end)
  turns(1)
  task:cancel()
  task:join()
  lu.assertEquals(said, { "inner", "task" })
end
TestAwaits.config = { on_error = function() end }

function TestAwaits:test_a_granted_item_is_delivered_in_spite_of_a_cancel()
  local queue, got = eddy.queue(), {}
  local getter = eddy.spawn(function()
    coroutine.wrap(function()
      got[1] = queue:get()
      eddy.sleep(0)
      got[2] = "not reached"
    end)()
  end)
  turns(1)
  queue:put "item"   -- granted; the getter has not run yet
  getter:cancel()
  getter:join()
  lu.assertEquals({ got, queue:size(), getter:status() }, { { "item" }, 0, "cancelled" })
end

function TestAwaits:test_a_granted_item_goes_back_when_killed()
  for _, at in ipairs(killed.TURNS) do
    local queue, taken = eddy.queue(), 0
    killed.around({ function() coroutine.wrap(function() queue:get() taken = taken + 1 end)() end },
      function() queue:put "item" end, at)
    lu.assertEquals(queue:size() + taken, 1)
  end
end

function TestAwaits:test_blocks_inside()
  local function body()
    local result = eddy.within(1, function() return coroutine.wrap(function() eddy.sleep(5) end)() end)
    local ok, n = pcall(eddy.group, function(group)
      group:spawn(function() coroutine.wrap(function() eddy.sleep(1) end)() error("child", 0) end)
      coroutine.wrap(function() eddy.sleep(10) end)()
    end)
    return result, ok, n
  end
  lu.assertEquals({ coroutine.wrap(body)() }, { false, false, "child" })
end

function TestAwaits:test_yielding_out_of_a_block()
  for name, open in pairs {
    timeout = function(fn) return eddy.timeout(1, fn) end,
    group = function(fn) return eddy.group(fn) end,
    shield = function(fn) return eddy.shield(1, fn) end,
  } do
    for _, yield in pairs { coroutine.yield, stock.yield } do
      local co = coroutine.create(function() open(function() yield(1) end) end)
      local ok, err = coroutine.resume(co)
      lu.assertFalse(ok)
      lu.assertStrContains(err, "cannot yield out of '" .. name .. "'")
    end
  end
  lu.assertEquals(eddy.deadline(), math.huge)
end

function TestAwaits:test_a_group_left_by_an_error_inside()
  local ended
  local co = coroutine.create(function()
    local group <close> = eddy.group()
    group:spawn(function()
      local _ <close> = on_close(function() ended = true end)
      eddy.sleep(100)
    end)
    turns(1)
    error("broken", 0)
  end)
  local ok, err = coroutine.resume(co)
  lu.assertEquals({ ok, err, ended }, { false, "broken", true })
  lu.assertTrue(coroutine.close(co) ~= nil)
  local task = eddy.spawn(turns, 1)   -- the block it would fall into is gone
  task:await()
  lu.assertEquals(task:status(), "done")
end

function TestAwaits:test_s162_stepped_from_where_nothing_can_wait()
  local generator = coroutine.wrap(function() local q = eddy.queue() q:get() end)
  local ok, err = pcall(table.sort, { 3, 2, 1 }, function() return generator() end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot await inside 'sort'")
  lu.assertEquals(eddy.stats().operations, 0)
  turns(1)
end

function TestAwaits:test_ours_inside_a_stock_coroutine()
  local said = stock.wrap(function()
    return (coroutine.wrap(function() return select(2, pcall(eddy.sleep, 0)) end)())
  end)()
  lu.assertStrContains(said, "cannot await inside a plain coroutine")
  turns(1)
end

function TestAwaits:test_s163_a_hook_of_the_script_stays()
  local count = 0
  local hook = function() count = count + 1 end
  debug.sethook(hook, "l")
  coroutine.wrap(function() eddy.sleep(1) end)()
  local still = debug.gethook()
  debug.sethook()
  lu.assertTrue(rawequal(still, hook))
end

function TestAwaits:test_in_a_for_loop()
  local function ticks(n) return coroutine.wrap(function() for i = 1, n do eddy.sleep(1) coroutine.yield(i) end end) end
  local from, sum = eddy.now(), 0
  for i in ticks(4) do sum = sum + i end
  lu.assertEquals(sum, 10)
  lu.assertAlmostEquals(eddy.now() - from, 4, 0.001)
end

-- What the stock library promises holds, inside a task and outside.
local TestStock = {}

local function same_in_both(name, fn)
  TestStock["test_" .. name] = fn
  TestStock["test_outside_" .. name] = fn
end

same_in_both("values_go_both_ways", function()
  local co = coroutine.create(function(...)
    local a, b = coroutine.yield(select("#", ...), ...)
    return a, b, coroutine.isyieldable()
  end)
  lu.assertEquals(table.pack(coroutine.resume(co, 1, nil, nil)), { true, 3, 1, nil, nil, n = 5 })
  lu.assertEquals(coroutine.status(co), "suspended")
  lu.assertEquals({ coroutine.resume(co, "a", "b") }, { true, "a", "b", true })
  lu.assertEquals(coroutine.status(co), "dead")
  lu.assertEquals({ coroutine.resume(co) }, { false, "cannot resume dead coroutine" })
end)

same_in_both("statuses", function()
  local outer, inner
  outer = coroutine.create(function()
    inner = coroutine.create(function()
      return coroutine.status(outer), coroutine.status(inner), coroutine.running()
    end)
    return coroutine.resume(inner)
  end)
  local _, ok, of_outer, of_inner, running = coroutine.resume(outer)
  lu.assertEquals({ ok, of_outer, of_inner }, { true, "normal", "running" })
  lu.assertTrue(rawequal(running, inner))
  lu.assertErrorMsgContains("coroutine expected", coroutine.status, 1)
  lu.assertErrorMsgContains("coroutine expected", coroutine.resume)
end)

same_in_both("resuming_what_runs", function()
  local co
  co = coroutine.create(function() return coroutine.resume(co) end)
  lu.assertEquals({ coroutine.resume(co) }, { true, false, "cannot resume non-suspended coroutine" })
end)

same_in_both("wrap_raises_with_position", function()
  local ok, err = pcall(coroutine.wrap(function() error "text" end))
  lu.assertFalse(ok)
  lu.assertStrMatches(err, ".*coroutine_spec%.lua:%d+: text")
  local value = {}
  ok, err = pcall(coroutine.wrap(function() error(value) end))
  lu.assertTrue(not ok and rawequal(err, value))
  local dead = coroutine.wrap(function() end)
  dead()
  lu.assertErrorMsgContains("cannot resume dead coroutine", dead)
  lu.assertErrorMsgContains("function expected", coroutine.wrap, 1)
end)

same_in_both("wrap_closes_after_an_error", function()
  local closed = 0
  local fn = coroutine.wrap(function()
    local _ <close> = on_close(function(err) closed = closed + 1 lu.assertEquals(err, "gone") end)
    error("gone", 0)
  end)
  lu.assertErrorMsgContains("gone", fn)
  lu.assertEquals(closed, 1)
end)

same_in_both("close", function()
  local closed
  local co = coroutine.create(function()
    local _ <close> = on_close(function(err) closed = { err } end)
    coroutine.yield()
  end)
  coroutine.resume(co)
  lu.assertTrue(coroutine.close(co))
  lu.assertEquals(closed, {})
  lu.assertEquals(coroutine.status(co), "dead")
  lu.assertTrue(coroutine.close(co))
  co = coroutine.create(function() local _ <close> = on_close(function() error("bad", 0) end) coroutine.yield() end)
  coroutine.resume(co)
  lu.assertEquals({ coroutine.close(co) }, { false, "bad" })
  co = coroutine.create(function() error("early", 0) end)
  coroutine.resume(co)
  lu.assertEquals({ coroutine.close(co) }, { false, "early" })
  lu.assertErrorMsgContains("cannot close a running coroutine", function() coroutine.close(coroutine.running()) end)
end)

same_in_both("yields_across_pcall_and_metamethods", function()
  local object = setmetatable({}, {
    __index = function(_, key) return coroutine.yield(key) end,
    __add = function(a) return coroutine.yield "add" and a end,
    __call = function(_, x) return coroutine.yield(x) end,
  })
  local co = coroutine.wrap(function()
    local ok, err = pcall(function() local _ = object.x + (object + 1 and 0) object "call" error("end", 0) end)
    return ok, err
  end)
  lu.assertEquals(co(), "x")
  lu.assertEquals(co(1), "add")
  lu.assertEquals(co(1), "call")
  lu.assertEquals({ co() }, { false, "end" })
end)

same_in_both("too_many_values", function()
  local co = coroutine.wrap(function() return table.unpack({}, 1, 10000) end)
  lu.assertEquals(select("#", co()), 10000)
end)

local TestInstalled = {}

function TestInstalled:test_outside_run_installs_and_config_takes_back()
  eddy.run(function() lu.assertTrue(rawequal(coroutine.resume, eddy.coroutine.resume)) end)
  eddy.config { coroutine = false }
  lu.assertTrue(rawequal(coroutine.resume, stock.resume))
  eddy.run(function()
    lu.assertTrue(rawequal(coroutine.wrap, stock.wrap))
    local said = coroutine.wrap(function() return select(2, pcall(eddy.sleep, 0)) end)()
    lu.assertStrContains(said, "cannot await inside a plain coroutine")
    eddy.coroutine.wrap(function() eddy.sleep(0) end)()
  end)
  eddy.config { coroutine = true }
  eddy.run(function() lu.assertTrue(rawequal(coroutine.resume, eddy.coroutine.resume)) end)
end

return { TestAwaits = TestAwaits, TestStock = TestStock, TestInstalled = TestInstalled }
