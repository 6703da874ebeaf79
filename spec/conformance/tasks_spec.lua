-- SPDX-License-Identifier: MIT
-- Statements 1 to 28: tasks, spawning, awaiting. One test for each, named by its number.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local reports = {}   -- what on_error was told, { err, task }

local TestTasks = { clock = "manual", config = { on_error = function(err, task) reports[#reports + 1] = { err, task } end } }

function TestTasks:setUp() reports = {} end

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function collect() collectgarbage() collectgarbage() end

function TestTasks:test_s001_start_is_deferred()
  local log = {}
  local task = eddy.spawn(function() log[#log + 1] = "child" end)
  log[#log + 1] = "after spawn"
  lu.assertEquals(task:status(), "ready")
  eddy.sleep(0)
  log[#log + 1] = "after wait"
  lu.assertEquals(log, { "after spawn", "child", "after wait" })
end

function TestTasks:test_s002_ready_tasks_run_first_in_first_out()
  local events, log = {}, {}
  for i = 1, 6 do
    events[i] = eddy.event()
    eddy.spawn(function() events[i]:wait() log[#log + 1] = i end)
  end
  turns(1)
  for _, i in ipairs { 4, 1, 6, 2, 5, 3 } do events[i]:set() end   -- the order of becoming ready, not of spawning
  turns(1)
  lu.assertEquals(log, { 4, 1, 6, 2, 5, 3 })
end

function TestTasks:test_s003_values_pass_unchanged()
  local lists = { table.pack(), table.pack(nil), table.pack(1, nil, false, nil), table.pack(nil, nil, 3) }
  local long = { n = 200 }
  for i = 1, 197 do long[i] = i end   -- and three trailing nils
  lists[#lists + 1] = long
  for _, list in ipairs(lists) do
    local seen
    local task = eddy.spawn(function(...)
      seen = table.pack(...)
      eddy.sleep(0)
      return ...
    end, table.unpack(list, 1, list.n))
    lu.assertEquals(table.pack(task:await()), list)
    lu.assertEquals(seen, list)
  end
end

function TestTasks:test_s004_awaiting_an_ended_task_does_not_suspend()
  local task = eddy.spawn(function() return "a", nil, "c" end)
  turns(1)
  local others = 0
  eddy.spawn(function() others = others + 1 end)
  for _ = 1, 3 do lu.assertEquals(table.pack(task:await()), { "a", nil, "c", n = 3 }) end
  lu.assertEquals(others, 0)
end

function TestTasks:test_s005_awaiters_are_served_in_their_order()
  local task = eddy.spawn(function() eddy.sleep(1) return "result" end)
  local log = {}
  for _, delay in ipairs { 0.3, 0.1, 0.2 } do
    eddy.spawn(function() eddy.sleep(delay) local value = task:await() log[#log + 1] = value .. delay end)
  end
  eddy.sleep(2)
  lu.assertEquals(log, { "result0.1", "result0.2", "result0.3" })
end

function TestTasks:test_s006_the_identical_error_in_each_awaiter()
  local value, seen = setmetatable({}, { __eq = function() return true end }), {}
  local task = eddy.spawn(function() eddy.sleep(1) error(value) end)
  for i = 1, 3 do eddy.spawn(function() seen[i] = select(2, pcall(task.await, task)) end) end
  eddy.sleep(2)
  seen[4] = select(2, pcall(task.await, task))   -- and long after
  for i = 1, 4 do lu.assertTrue(rawequal(seen[i], value), i) end
end

function TestTasks:test_s007_a_task_cannot_await_itself()
  local ok, err = eddy.spawn(function() eddy.sleep(0) return eddy.current():await() end):join()
  lu.assertFalse(ok)
  lu.assertStrContains(err, "task cannot await itself")
end

function TestTasks:test_outside_s008_a_cycle_of_awaits_is_a_deadlock()
  local ok, err = pcall(eddy.run, function()
    local first, second
    first = eddy.spawn_with({ name = "anna" }, function() second:await() end)
    second = eddy.spawn_with({ name = "bert" }, function() first:await() end)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"), tostring(err))
  lu.assertStrContains(tostring(err.message), "anna")
  lu.assertStrContains(tostring(err.message), "bert")
end

function TestTasks:test_s009_cancelling_an_awaiter_spares_the_task()
  local task = eddy.spawn(function() eddy.sleep(1) return "whole" end)
  local weak = setmetatable({}, { __mode = "v" })
  turns(1)
  local before = eddy.stats().operations
  for i = 1, 10 do
    weak[i] = eddy.spawn(function() task:await() end)
    turns(1)
    weak[i]:cancel()
    weak[i]:join()
  end
  lu.assertEquals(eddy.stats().operations, before)   -- no record stays in the list of waiters
  turns(1)
  collect()
  lu.assertNil(next(weak))
  lu.assertEquals(task:await(), "whole")
end

function TestTasks:test_s010_a_result_beats_a_cancel_of_the_same_turn()
  local event, got, later = eddy.event(), nil, false
  local task = eddy.spawn(function() event:wait() return "result" end)
  local awaiter = eddy.spawn(function()
    got = task:await()
    eddy.sleep(0)
    later = true
  end)
  eddy.spawn(function()
    event:wait()      -- woken behind `task`, ahead of the awaiter
    awaiter:cancel()
  end)
  turns(1)
  event:set()
  awaiter:join()
  lu.assertEquals({ got, later, awaiter:status() }, { "result", false, "cancelled" })
end

function TestTasks:test_s011_cancelled_before_its_first_run()
  local ran = false
  local task = eddy.spawn(function() ran = true end)
  lu.assertTrue(task:cancel())
  local ok, err = task:join()
  lu.assertEquals({ ran, ok, err.kind, task:status() }, { false, false, "cancelled", "cancelled" })
end

function TestTasks:test_s012_the_first_reason_is_kept()
  local task = eddy.spawn(eddy.sleep, 10)
  turns(1)
  lu.assertTrue(task:cancel "first")
  lu.assertFalse(task:cancel "second")
  lu.assertEquals(select(2, task:join()).reason, "first")
end

function TestTasks:test_s013_cancelling_an_ended_task_changes_nothing()
  local good = eddy.spawn(function() return "value" end)
  local bad = eddy.spawn(function() error("broken", 0) end)
  eddy.settle { good, bad }
  for _, task in ipairs { good, bad } do lu.assertFalse(task:cancel "late") end
  lu.assertEquals({ good:status(), good:await() }, { "done", "value" })
  lu.assertEquals({ bad:status(), bad:join() }, { "failed", false, "broken" })
end

function TestTasks:test_s014_a_task_cancels_itself()
  local log = {}
  local task = eddy.spawn(function()
    log[1] = eddy.current():cancel "own"
    log[2] = "still here"
    eddy.sleep(0)
    log[3] = "never"
  end)
  local _, err = task:join()
  lu.assertEquals(log, { true, "still here" })
  lu.assertEquals({ err.kind, err.reason, task:status() }, { "cancelled", "own", "cancelled" })
end

function TestTasks:test_s015_cancelled_but_returned_without_a_checkpoint()
  local task = eddy.spawn(function()
    eddy.current():cancel()
    return "kept", nil
  end)
  lu.assertEquals(table.pack(task:join()), { true, "kept", nil, n = 3 })
  lu.assertEquals(task:status(), "done")
end

function TestTasks:test_s016_another_error_after_a_caught_cancel()
  local task = eddy.spawn(function()
    pcall(eddy.sleep, 10)
    error("its own", 0)
  end)
  turns(1)
  task:cancel()
  lu.assertEquals({ task:join() }, { false, "its own" })
  lu.assertEquals(task:status(), "failed")
end

function TestTasks:test_s017_returned_after_a_caught_cancel()
  local caught
  local task = eddy.spawn(function()
    caught = select(2, pcall(eddy.sleep, 10))
    return "saved"
  end)
  turns(1)
  task:cancel()
  lu.assertEquals({ task:join() }, { true, "saved" })
  lu.assertEquals({ caught.kind, task:status() }, { "cancelled", "done" })
end

function TestTasks:test_s018_an_error_that_holds_a_cancellation_is_none()
  local wrapped
  local task = eddy.spawn(function()
    local _, err = pcall(eddy.sleep, 10)
    wrapped = eddy.error { kind = "io", message = "wrapped", cause = err }
    error(wrapped)
  end)
  turns(1)
  task:cancel()
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(err, wrapped))
  lu.assertEquals(task:status(), "failed")
  -- Nor is an object of that kind that somebody made himself.
  local forged = eddy.spawn(function() pcall(eddy.sleep, 10) error(eddy.error { kind = "cancelled" }) end)
  turns(1)
  forged:cancel()
  forged:join()
  lu.assertEquals(forged:status(), "failed")
end

function TestTasks:test_s019_an_old_cancellation_is_an_ordinary_failure()
  local old
  eddy.group(function(group)
    group:cancel()
    old = select(2, pcall(eddy.sleep, 1))
  end)
  local task = eddy.spawn(function() error(old) end)
  local ok, err = task:join()
  lu.assertEquals({ ok, task:status() }, { false, "failed" })
  lu.assertTrue(rawequal(err, old))
  -- Also inside of another scope, cancelled too: it does not absorb what is not its own.
  local passed, same = pcall(eddy.group, function(group)
    group:cancel()
    error(old)
  end)
  lu.assertFalse(passed)
  lu.assertTrue(rawequal(same, old))
end

function TestTasks:test_s020_an_unreferenced_task_goes_on_and_is_collected_at_its_end()
  local event, weak, ran = eddy.event(), setmetatable({}, { __mode = "v" }), false
  local function start() weak[1] = eddy.spawn(function() event:wait() ran = true end) end
  start()
  turns(1)
  collect()
  lu.assertEquals(weak[1]:status(), "waiting")
  event:set()
  turns(1)
  collect()
  lu.assertTrue(ran)
  lu.assertNil(weak[1])
end

function TestTasks:test_s021_nothing_is_referred_to_after_the_end()
  local weak = setmetatable({}, { __mode = "kv" })
  local function start(ending)
    local argument = { "argument" }
    local result = { "result" }
    local function body(...) eddy.sleep(0) return ending(result, ...) end
    weak[1], weak[2], weak[3] = argument, result, body
    weak[4] = eddy.spawn(body, argument, weak)
    pcall(weak[4].await, weak[4])
  end
  for _, ending in ipairs { function(...) return ... end, function(value) error(value) end } do
    start(ending)
    turns(1)
    for _ = 1, 4 do eddy.spawn(function() end) end   -- the last task's coroutine may be kept for the next
    turns(1)
    collect()
    lu.assertNil(next(weak))
  end
end

function TestTasks:test_s022_a_failure_nobody_awaits()
  local log = {}
  local ok, err = pcall(eddy.group, function(group)
    group:spawn(function()
      local _ <close> = eddy.defer(function() eddy.sleep(2) log[#log + 1] = "other ended" end)
      eddy.sleep(100)
    end)
    group:spawn(function() eddy.sleep(1) error("unseen", 0) end)
    eddy.sleep(100)
    log[#log + 1] = "not reached"
  end)
  lu.assertEquals({ ok, err, log }, { false, "unseen", { "other ended" } })

  local alone = eddy.background(function() eddy.sleep(1) error("lonely", 0) end)
  local awaited = eddy.background(function() eddy.sleep(1) error("awaited", 0) end)
  eddy.spawn(function() awaited:join() end)
  turns(1)
  lu.assertEquals(#reports, 0)
  eddy.sleep(2)
  lu.assertEquals(#reports, 1)
  lu.assertEquals({ reports[1][1], reports[1][2] }, { "lonely", alone })
  alone:join()
  lu.assertEquals(#reports, 1)
end

function TestTasks:test_outside_s023_any_value_may_be_an_error()
  eddy.run(function()
    for _, value in ipairs { false, 42, 1.5, {}, io.stdout, print } do
      local task = eddy.spawn(function() eddy.sleep(0) error(value) end)
      local ok, err = task:join()
      lu.assertFalse(ok)
      lu.assertTrue(rawequal(err, value), tostring(value))
      lu.assertTrue(rawequal(select(2, pcall(task.await, task)), value))
    end
    local empty = eddy.spawn(function() error(nil) end)
    lu.assertEquals(table.pack(empty:join()), { false, nil, n = 2 })
    lu.assertEquals(empty:status(), "failed")
  end)
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    eddy.background(function() error(nil) end)
    eddy.sleep(0)]] }
  lu.assertStrMatches(result.stderr, ".*%f[%w]nil%f[%W].*")
end

function TestTasks:test_outside_s024_names_are_shown()
  local odd, long = "bell\a\27[31m\0\255 new\nline", ("x"):rep(100000)
  local ok, err = pcall(eddy.run, function()
    local event = eddy.event()
    for _, name in ipairs { "gardener", odd, long } do
      local task = eddy.spawn_with({ name = name }, function() event:wait() end)
      lu.assertEquals(task:name(), name)
      lu.assertStrContains(tostring(task), name:match "^%a+":sub(1, 8))
    end
    eddy.sleep(0)
    local dump = eddy.dump()
    lu.assertStrContains(dump, "gardener")
    lu.assertNil(dump:find("[\0\a\27]"))        -- what would upset a terminal
    lu.assertTrue(#dump < 20000)
    local failed = eddy.spawn_with({ name = "gardener" }, function() error "broken" end)
    failed:join()
    lu.assertStrContains(failed:traceback(), "gardener")
  end)
  lu.assertFalse(ok)
  if not eddy.is(err, "deadlock") then error(err, 0) end   -- an assertion of above
  lu.assertStrContains(tostring(err.message), "gardener")
  lu.assertNil(tostring(err.message):find("[\0\a\27]"))
end

function TestTasks:test_s025_status_tells_what_a_task_does()
  local event, own = eddy.event(), nil
  local waiting = eddy.spawn(function() own = eddy.current():status() event:wait() end)
  lu.assertEquals(waiting:status(), "ready")
  turns(1)
  lu.assertEquals({ own, waiting:status() }, { "running", "waiting" })
  lu.assertStrContains(tostring(waiting), "event")
  event:set()
  lu.assertEquals(waiting:status(), "ready")
  waiting:await()
  lu.assertEquals(waiting:status(), "done")
end

function TestTasks:test_s026_many_tasks_leave_no_memory_behind()
  local function used()
    collect()
    return collectgarbage "count" * 1024 + eddy.stats().bytes
  end
  local function waves(n)
    for _ = 1, n do
      local tasks = {}
      for i = 1, 1000 do tasks[i] = eddy.spawn(function() eddy.sleep(0) return i end) end
      for i = 1, 1000 do if tasks[i]:await() ~= i then error "another task's result" end end
    end
  end
  waves(2)   -- what is kept for reuse is kept now
  local before = used()
  waves(100)
  lu.assertAlmostEquals(used() / before, 1, 0.02)
end

function TestTasks:test_outside_s027_nothing_is_spawned_while_the_runtime_closes()
  -- A state that ends kills its tasks; in their clean-up nothing can be started any more.
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    local function never() print "ran" end
    eddy.spawn(function()
      local _ <close> = setmetatable({}, { __close = function()
        print(pcall(eddy.spawn, never))
        print(pcall(eddy.background, never))
      end })
      eddy.sleep(1000)
    end)
    eddy.sleep(0)
    os.exit(0, true)]] }
  lu.assertEquals(result.code, 0)
  lu.assertEquals(result.stderr, "")
  local lines = {}
  for line in result.stdout:gmatch "[^\n]+" do lines[#lines + 1] = line end
  lu.assertEquals(#lines, 2)
  for i = 1, 2 do lu.assertStrMatches(lines[i], "false\t.*cannot spawn: the block has ended") end
end

function TestTasks:test_outside_s028_refused_before_any_side_effect()
  local queue = eddy.queue()
  queue:try_put "item"
  lu.assertErrorMsgContains("cannot await outside a task; use eddy.run", function() queue:get() end)
  lu.assertEquals(queue:size(), 1)
  eddy.run(function()
    local said
    local function get() said = select(2, pcall(queue.get, queue)) return false end
    table.sort({ 1, 2 }, get)
    lu.assertStrContains(said, "cannot await inside 'sort' (a C function that cannot be suspended)")
    string.gsub("x", "x", get)
    lu.assertStrContains(said, "cannot await inside 'gsub'")
    said = nil
    setmetatable({}, { __gc = get })
    collect()
    lu.assertStrContains(said, "cannot await in a finalizer")
    lu.assertEquals(queue:size(), 1)
    lu.assertEquals(queue:get(), "item")
  end)
end

return { TestTasks = TestTasks }
