-- SPDX-License-Identifier: MIT
-- eddy.var and eddy.atomic, and the time after which a task that catches its cancellation is killed.
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local TestVar = { clock = "manual" }

function TestVar:test_default_and_binding()
  local v, bare = eddy.var "default", eddy.var()
  lu.assertEquals({ v:get(), bare:get() }, { "default", nil })
  local results = table.pack(v:with("bound", function(...) return v:get(), bare:get(), ... end, 1, nil))
  lu.assertEquals(results, { "bound", nil, 1, nil, n = 4 })
  lu.assertEquals(v:get(), "default")
  lu.assertEquals(v:with(nil, v.get, v), nil)
  lu.assertEquals(v:with(false, v.get, v), false)
end

function TestVar:test_nested_and_several()
  local a, b = eddy.var(1), eddy.var(2)
  a:with(10, function()
    b:with(20, function()
      a:with(11, function() lu.assertEquals({ a:get(), b:get() }, { 11, 20 }) end)
      lu.assertEquals({ a:get(), b:get() }, { 10, 20 })
    end)
    lu.assertEquals({ a:get(), b:get() }, { 10, 2 })
  end)
end

function TestVar:test_s094_children_see_the_moment_of_their_spawn()
  local v = eddy.var "none"
  local seen = {}
  local function look(name) return function() turns(2) seen[name] = v:get() end end
  v:with("first", function()
    local a = eddy.spawn(look "a")
    local g = eddy.background(look "background")
    v:with("second", function()
      local b = eddy.spawn(function() eddy.gather(look "grandchild") end)
      b:join()
    end)
    a:join()
    g:join()
  end)
  eddy.spawn(look "after"):join()
  lu.assertEquals(seen, { a = "first", background = "first", grandchild = "second", after = "none" })
end

function TestVar:test_s095_restored_after_an_error_and_a_cancel_and_per_task()
  local v = eddy.var(0)
  lu.assertErrorMsgContains("oops", v.with, v, 1, function() eddy.sleep(1) error "oops" end)
  lu.assertEquals(v:get(), 0)
  eddy.within(1, function() v:with(2, eddy.sleep, 100) end)
  lu.assertEquals(v:get(), 0)
  local function interleaved(n)
    return function() v:with(n, function() for _ = 1, 5 do turns(1) lu.assertEquals(v:get(), n) end end) end
  end
  eddy.gather(interleaved(1), interleaved(2), interleaved(3))
end

function TestVar:test_a_reused_coroutine_sees_nothing_of_the_task_before()
  local v = eddy.var "clean"
  v:with("dirty", function() eddy.gather(function() turns(1) end) eddy.spawn(turns, 1):join() end)
  lu.assertEquals(eddy.gather(function() return v:get() end), "clean")
  lu.assertEquals(eddy.spawn(function() return v:get() end):await(), "clean")
end

function TestVar:test_a_killed_task_leaves_nothing()
  local v = eddy.var "clean"
  local task = eddy.spawn(v.with, v, "dirty", function() while true do pcall(eddy.sleep, 1) end end)
  turns(1)
  task:cancel()
  task:join()
  lu.assertEquals(eddy.spawn(function() return v:get() end):await(), "clean")
end
TestVar.config = { on_error = function() end }

function TestVar:test_a_generator_binds_for_itself()
  local v = eddy.var "none"
  local step = coroutine.wrap(function()
    v:with("inside", function()
      for _ = 1, 2 do coroutine.yield(v:get()) eddy.sleep(1) end
      coroutine.yield((eddy.gather(function() return v:get() end)))
    end)
    return v:get()
  end)
  lu.assertEquals({ step(), v:get() }, { "inside", "none" })
  v:with("outside", function() lu.assertEquals({ step(), v:get() }, { "inside", "outside" }) end)
  lu.assertEquals({ step(), v:get() }, { "inside", "none" })
  lu.assertEquals({ v:with("late", step) }, { "late" })
  lu.assertEquals(v:get(), "none")
end

function TestVar:test_outside_a_task()
  local v = eddy.var "none"
  lu.assertEquals(v:with("host", function() return v:get(), eddy.run(v.get, v) end), "host")
  lu.assertEquals({ v:with("host", eddy.run, v.get, v) }, { "host" })
  lu.assertEquals(v:get(), "none")
end

function TestVar:test_misuse()
  lu.assertErrorMsgContains("function expected", function() eddy.var():with(1, 2) end)
  lu.assertErrorMsgContains("eddy.Var expected", eddy.var().get, {})
end

local TestAtomic = {}

function TestAtomic:test_waits_raise_and_do_nothing()
  local queue = eddy.queue()
  queue:put "item"
  local ok, err = pcall(eddy.atomic, function() return queue:get() end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot await inside eddy.atomic")
  lu.assertEquals(queue:size(), 1)
  for _, wait in ipairs {
    function() eddy.sleep(0) end, function() eddy.gather() end, function() eddy.timeout(1, print) end,
    function() coroutine.wrap(function() eddy.sleep(0) end)() end,
    function() eddy.atomic(function() eddy.sleep(0) end) end,
  } do
    lu.assertErrorMsgContains("inside eddy.atomic", eddy.atomic, wait)
  end
  turns(1)
end

function TestAtomic:test_results_errors_and_spawning()
  local ran
  lu.assertEquals(table.pack(eddy.atomic(function(...)
    eddy.spawn(function() ran = true end)
    return ..., nil
  end, 1, 2)), { 1, nil, n = 2 })
  lu.assertNil(ran)
  turns(1)
  lu.assertTrue(ran)
  local value = {}
  local ok, err = pcall(eddy.atomic, error, value)
  lu.assertTrue(not ok and rawequal(err, value))
  lu.assertErrorMsgContains("function expected", eddy.atomic, 1)
end

function TestAtomic:test_outside_a_task() lu.assertEquals({ eddy.atomic(function(...) return ... end, 1, 2) }, { 1, 2 }) end

local TestGrace = { clock = "manual", config = { kill_grace = 2, on_error = function() end } }

function TestGrace:test_shields_do_not_count()
  local rounds = 0
  local task = eddy.spawn(function()
    while true do
      pcall(eddy.sleep, 100)
      rounds = rounds + 1
      eddy.shield(1, eddy.sleep, 0.5)
    end
  end)
  turns(1)
  task:cancel()
  task:join()
  lu.assertTrue(rounds >= 1000)   -- killed by their number, after 500 s behind shields
end

local TestRealGrace = { config = { kill_grace = 0.01, on_error = function() end } }

function TestRealGrace:test_s046_killed_after_the_grace()
  local rounds = 0
  local task = eddy.spawn(function()
    while true do
      pcall(eddy.sleep, 100)
      rounds = rounds + 1
      local from = eddy.now()
      while eddy.now() - from < 0.02 do end
    end
  end)
  turns(1)
  task:cancel()
  task:join()
  lu.assertEquals({ task:status(), rounds }, { "cancelled", 1 })
end

function TestGrace:test_clean_up_behind_shields_may_take_longer()
  local finished
  local task = eddy.spawn(function()
    local _ <close> = setmetatable({}, { __close = function() eddy.shield(10, eddy.sleep, 9) finished = true end })
    local _ <close> = setmetatable({}, { __close = function() eddy.shield(10, eddy.sleep, 9) end })
    eddy.sleep(1000)
  end)
  turns(1)
  task:cancel()
  task:join()
  lu.assertTrue(finished)
end

return { TestVar = TestVar, TestAtomic = TestAtomic, TestGrace = TestGrace, TestRealGrace = TestRealGrace }
