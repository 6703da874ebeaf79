-- SPDX-License-Identifier: MIT
-- Tasks: spawning, results, errors, cancelling. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"
local stock = require "spec.support.stock"
local process = require "spec.support.process"

local TestTask = {}

function TestTask:test_s001_starts_at_the_spawners_next_wait()
  local ran = false
  eddy.spawn(function() ran = true end)
  lu.assertFalse(ran)
  eddy.sleep(0)
  lu.assertTrue(ran)
end

function TestTask:test_s002_runs_in_order_of_becoming_ready()
  local order = {}
  for i = 1, 5 do eddy.spawn(function() order[#order + 1] = i eddy.sleep(0) order[#order + 1] = i + 10 end) end
  eddy.sleep(0) eddy.sleep(0)
  lu.assertEquals(order, { 1, 2, 3, 4, 5, 11, 12, 13, 14, 15 })
end

function TestTask:test_s003_any_number_of_values_passes()
  local function echo(...) return ... end
  for _, n in ipairs { 0, 1, 2, 200 } do
    local values = table.pack()
    values.n = n
    for i = 1, n do if i % 3 ~= 0 then values[i] = i end end
    local task = eddy.spawn(echo, table.unpack(values, 1, n))
    lu.assertEquals(table.pack(task:await()), values)
    lu.assertEquals(select("#", task:join()), n + 1)
  end
end

function TestTask:test_s004_ended_task_can_be_awaited_again()
  local task = eddy.spawn(function() return 1, nil, 3 end)
  task:await()
  for _ = 1, 3 do lu.assertEquals(table.pack(task:await()), { 1, nil, 3, n = 3 }) end
end

function TestTask:test_s005_awaiters_are_woken_in_order()
  local order, event = {}, eddy.event()
  local task = eddy.spawn(function() event:wait() return "x" end)
  for i = 1, 3 do eddy.spawn(function() local text = task:await() order[#order + 1] = text .. i end) end
  eddy.sleep(0)
  event:set()
  for _ = 1, 3 do eddy.sleep(0) end
  lu.assertEquals(order, { "x1", "x2", "x3" })
end

function TestTask:test_s006_each_awaiter_gets_the_same_error()
  local value = {}
  local task = eddy.spawn(function() eddy.sleep(0) error(value) end)
  local seen = eddy.settle { function() task:await() end, function() task:await() end }
  lu.assertTrue(rawequal(seen[1].err, value))
  lu.assertTrue(rawequal(seen[2].err, value))
end

function TestTask:test_s007_cannot_await_itself()
  local task = eddy.spawn(function() eddy.current():await() end)
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertStrContains(err, "task cannot await itself")
end

function TestTask:test_s009_cancelling_a_waiter_leaves_the_task()
  local event = eddy.event()
  local task = eddy.spawn(function() event:wait() return "fine" end)
  local waiter = eddy.spawn(function() task:await() end)
  eddy.sleep(0)
  waiter:cancel()
  waiter:join()
  event:set()
  lu.assertEquals(task:await(), "fine")
end

function TestTask:test_s011_cancelled_before_it_ran()
  local task = eddy.spawn(function() error "ran" end)
  lu.assertTrue(task:cancel "no need")
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertEquals(err.reason, "no need")
  lu.assertEquals(task:status(), "cancelled")
end

function TestTask:test_s012_s013_cancel_is_idempotent()
  local task = eddy.spawn(eddy.sleep, 1000)
  eddy.sleep(0)
  lu.assertTrue(task:cancel "first")
  lu.assertFalse(task:cancel "second")
  local _, err = task:join()
  lu.assertEquals(err.reason, "first")
  lu.assertFalse(task:cancel())
  local done = eddy.spawn(function() return 5 end)
  done:await()
  lu.assertFalse(done:cancel())
  lu.assertEquals(done:await(), 5)
end

function TestTask:test_s014_may_cancel_itself()
  local after = false
  local task = eddy.spawn(function() eddy.current():cancel() after = true eddy.sleep(0) error "not reached" end)
  lu.assertFalse((task:join()))
  lu.assertTrue(after)
end

function TestTask:test_s015_returns_although_cancelled()
  local task = eddy.spawn(function() eddy.current():cancel() return "done" end)
  lu.assertEquals(task:await(), "done")
  lu.assertEquals(task:status(), "done")
end

function TestTask:test_s016_s017_after_catching_a_cancellation()
  local other = eddy.spawn(function() pcall(eddy.sleep, 1000) error("other", 0) end)
  local calm = eddy.spawn(function() pcall(eddy.sleep, 1000) return "calm" end)
  eddy.sleep(0)
  other:cancel() calm:cancel()
  lu.assertEquals({ other:join() }, { false, "other" })
  lu.assertEquals(other:status(), "failed")
  lu.assertEquals(calm:await(), "calm")
end

function TestTask:test_s019_an_old_cancellation_is_an_ordinary_error()
  local victim = eddy.spawn(eddy.sleep, 1000)
  eddy.sleep(0)
  victim:cancel()
  local _, old = victim:join()
  local task = eddy.spawn(function() error(old, 0) end)
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(err, old))
  lu.assertEquals(task:status(), "failed")
end

function TestTask:test_s020_s021_pending_stays_ended_goes()
  local weak = setmetatable({}, { __mode = "v" })
  local event = eddy.event()
  local finished = false
  weak.task = eddy.spawn(function() event:wait() finished = true end)
  eddy.sleep(0)
  collectgarbage() collectgarbage()
  lu.assertNotNil(weak.task)
  event:set()
  eddy.sleep(0) eddy.sleep(0)
  lu.assertTrue(finished)
  collectgarbage() collectgarbage()
  lu.assertNil(weak.task)
end

function TestTask:test_s021_nothing_of_an_ended_task_is_held()
  local weak = setmetatable({}, { __mode = "k" })
  do
    local argument, result = {}, {}
    local function body() return result end
    weak[argument], weak[result], weak[body] = true, true, true
    eddy.spawn(body, argument):await()
  end
  for _ = 1, 40 do eddy.spawn(function() end):await() end   -- its coroutine is used again
  collectgarbage() collectgarbage()
  lu.assertNil(next(weak))
end

function TestTask:test_s023_any_value_may_be_an_error()
  for _, value in ipairs { false, 1, "text", io.stdout, {} } do
    local ok, err = eddy.spawn(function() error(value, 0) end):join()
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value))
  end
  lu.assertEquals(table.pack(eddy.spawn(function() error(nil) end):join()), { false, nil, n = 2 })
end

function TestTask:test_s024_names()
  local task = eddy.spawn_with({ name = "a name\0with zero" }, eddy.sleep, 0)
  lu.assertEquals(task:name(), "a name\0with zero")
  lu.assertStrContains(tostring(task), "a name")
  lu.assertStrContains(eddy.dump(), "a name")
  local long = eddy.spawn_with({ name = ("x"):rep(10000) }, eddy.sleep, 0)
  lu.assertStrContains(eddy.dump(), "xxxx")
  lu.assertEquals(#long:name(), 10000)
end

function TestTask:test_s025_status()
  local event = eddy.event()
  local task
  task = eddy.spawn(function()
    lu.assertEquals(task:status(), "running")
    event:wait()
  end)
  lu.assertEquals(task:status(), "ready")
  eddy.sleep(0)
  lu.assertEquals(task:status(), "waiting")
  lu.assertStrContains(tostring(task), "event:wait")
  event:set()
  task:await()
  lu.assertEquals(task:status(), "done")
end

function TestTask:test_outside_s027_spawn_outside_raises()
  lu.assertErrorMsgContains("cannot spawn outside a task", eddy.spawn, print)
  lu.assertErrorMsgContains("cannot spawn outside a task", eddy.spawn_with, { name = "x" }, print)
  lu.assertErrorMsgContains("outside a task", eddy.background, print)
end

function TestTask:test_traceback_of_a_failure()
  local function culprit() error "here" end
  local task = eddy.spawn(function() culprit() end)
  task:join()
  lu.assertStrContains(task:traceback(), "culprit")
  local waiting = eddy.spawn(function() eddy.sleep(1000) end)
  eddy.sleep(0)
  lu.assertStrContains(waiting:traceback(), "sleep")
  waiting:cancel()
end

function TestTask:test_yield_in_a_tasks_own_body_raises()
  local ok, err = eddy.spawn(function()
    coroutine.yield(1)
    return "went on"
  end):join()
  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot yield")
end

function TestTask:test_generators_work()
  local sum = 0
  for v in coroutine.wrap(function() for i = 1, 4 do coroutine.yield(i) end end) do sum = sum + v end
  lu.assertEquals(sum, 10)
end

function TestTask:test_children_belong_to_their_parent()
  local ended = false
  local parent = eddy.spawn(function()
    eddy.spawn(function() eddy.sleep(0) eddy.sleep(0) ended = true end)
    return "body is over"
  end)
  lu.assertEquals(parent:await(), "body is over")
  lu.assertTrue(ended)
end

function TestTask:test_child_failure_fails_the_parent()
  local parent = eddy.spawn(function()
    eddy.spawn(function() error("child", 0) end)
    eddy.sleep(1000)
  end)
  lu.assertEquals({ parent:join() }, { false, "child" })
end

local TestMany = { timeout = 60 }

function TestMany:test_s026_many_tasks_and_their_memory()
  local function round()
    eddy.group(function(group)
      for _ = 1, 20000 do group:spawn(eddy.sleep, 0) end
    end)
  end
  round()
  for _ = 1, 3 do collectgarbage() end
  local before = collectgarbage "count"
  for _ = 1, 3 do round() end
  for _ = 1, 3 do collectgarbage() end
  lu.assertTrue(collectgarbage "count" <= before * 1.05)
end

function TestMany:test_a_long_sequence_leaves_memory_flat()
  for _ = 1, 1000 do eddy.spawn(function() end):await() end
  collectgarbage() collectgarbage()
  local before = collectgarbage "count"
  for _ = 1, 100000 do eddy.spawn(function() end):await() end
  collectgarbage() collectgarbage()
  lu.assertTrue(collectgarbage "count" < before + 100)
end

local TestWhere = {}

function TestWhere:test_s028_where_lua_cannot_suspend()
  local started = 0
  local function wait() started = started + 1 eddy.sleep(0) end
  local cases = {
    sort = function() table.sort({ 3, 2, 1 }, function(a, b) wait() return a < b end) end,
    gsub = function() ("x"):gsub("x", wait) end,
    tostring = function() return tostring(setmetatable({}, { __tostring = wait })) end,
    format = function() return ("%s"):format(setmetatable({}, { __tostring = wait })) end,
    load = function() return assert(load(wait)) end,
    concat = function() return table.concat(setmetatable({}, { __index = wait, __len = function() return 1 end })) end,
  }
  for name, case in pairs(cases) do
    local ok, err = pcall(case)
    if ok ~= false then err = "no error" end
    lu.assertStrContains(err, ("cannot await inside '%s'"):format(name))
  end
  lu.assertTrue(started >= 6)
  lu.assertEquals(eddy.stats().operations, 0)
end

function TestWhere:test_in_a_plain_coroutine()
  local ok, err = stock.wrap(function() return pcall(eddy.sleep, 0) end)()
  lu.assertFalse(ok)
  lu.assertStrContains(err, "plain coroutine")
end

function TestWhere:test_in_a_finalizer()
  local said
  setmetatable({}, { __gc = function() said = select(2, pcall(eddy.sleep, 0)) end })
  collectgarbage() collectgarbage()
  lu.assertStrContains(said, "cannot await in a finalizer")
end

function TestWhere:test_a_run_inside_a_run()
  lu.assertStrContains(select(2, pcall(eddy.run, function() end)), "already running")
end

function TestWhere:test_outside_waiting_and_spawning()
  lu.assertErrorMsgContains("cannot await outside a task", eddy.sleep, 0)
  lu.assertErrorMsgContains("cannot await outside a task", eddy.gather, {})
  lu.assertErrorMsgContains("cannot await outside a task", function() eddy.semaphore(1):acquire() end)
  lu.assertErrorMsgContains("cannot spawn outside a task", eddy.spawn, print)
  lu.assertNil(eddy.current())
  lu.assertTrue(eddy.now() > 0)
end

function TestWhere:test_metamethods_and_iterators_wait()
  local slow = setmetatable({}, {
    __index = function(_, k) eddy.sleep(0) return k end,
    __add = function() eddy.sleep(0) return "sum" end,
    __call = function(_, v) eddy.sleep(0) return v end,
    __lt = function() eddy.sleep(0) return true end,
    __concat = function() eddy.sleep(0) return "joined" end,
    __len = function() eddy.sleep(0) return 7 end,
    __eq = function() eddy.sleep(0) return true end,
  })
  lu.assertEquals({ slow.key, slow + 1, slow(3), slow < slow, slow .. "x", #slow }, { "key", "sum", 3, true, "joined", 7 })
  local n = 0
  for v in function(_, v) eddy.sleep(0) v = (v or 0) + 1 if v < 4 then return v end end do n = n + v end
  lu.assertEquals(n, 6)
end

local TestCoroutine = {}

function TestCoroutine:test_a_body_that_is_yield_harms_no_other_task()
  eddy.spawn(coroutine.yield):join()
  for _ = 1, 3 do
    lu.assertEquals({ eddy.spawn(function() local x = "innocent" return x end):join() }, { true, "innocent" })
  end
end

function TestCoroutine:test_a_hook_ends_with_its_task()
  eddy.spawn(function() debug.sethook(function() end, "l") end):await()
  lu.assertNil((eddy.spawn(function() return (debug.gethook()) end):await()))
end

local function assert_survives(script)
  local result = process.eddy({ "-e", script }, { timeout = 10 })
  lu.assertNil(result.signal)
  lu.assertNotStrContains(result.stderr, "not enough memory")
  lu.assertStrContains(result.stdout, "survived")
end

function TestCoroutine:test_outside_resuming_a_task_from_a_script()
  assert_survives [[
    local eddy, co = require "eddy", nil
    eddy.spawn(function() co = coroutine.running() end):await()
    local task = eddy.spawn(function() return "ran" end)
    pcall(coroutine.resume, co)
    eddy.sleep(0)
    if task:join() then print "survived" end]]
end

function TestCoroutine:test_outside_closing_a_waiting_task_from_a_script()
  assert_survives [[
    local eddy, co = require "eddy", nil
    local queue = eddy.queue()
    local task = eddy.spawn(function() co = coroutine.running() return queue:get() end)
    eddy.sleep(0)
    pcall(coroutine.close, co)
    queue:put(function() print "an item was called" end)
    task:cancel()
    task:join()
    print "survived"]]
end

return { TestTask = TestTask, TestMany = TestMany, TestWhere = TestWhere, TestCoroutine = TestCoroutine }
