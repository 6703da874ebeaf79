-- SPDX-License-Identifier: MIT
-- eddy.await: a callback becomes a wait.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local function turns(n) for _ = 1, n or 2 do eddy.sleep(0) end end

local reports = {}
local collecting = { on_error = function(err, task) reports[#reports + 1] = { err, task } end }

local TestAwait = { config = collecting }

function TestAwait:setUp() reports = {} end

--- A task that waits in eddy.await; the functions that answer it.
local function pending(canceller)
  local resolve, reject
  local task = eddy.spawn(function()
    return eddy.await(function(res, rej)
      resolve, reject = res, rej
      return canceller
    end)
  end)
  turns()
  return task, resolve, reject
end

function TestAwait:test_resolve_later_with_any_values()
  for _, values in ipairs { table.pack(), table.pack(nil), table.pack(1, nil, 3, nil) } do
    local task, resolve = pending()
    lu.assertEquals(task:status(), "waiting")
    lu.assertTrue(resolve(table.unpack(values, 1, values.n)))
    lu.assertEquals(table.pack(task:await()), values)
  end
  lu.assertEquals(reports, {})
end

function TestAwait:test_resolve_at_once()
  lu.assertEquals({ eddy.await(function(resolve) lu.assertTrue(resolve(1, nil, 3)) end) }, { 1, nil, 3 })
  local err = {}
  local ok, got = pcall(eddy.await, function(_, reject) lu.assertTrue(reject(err)) end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(got, err))
end

function TestAwait:test_resolving_at_once_for_ever_lets_others_run()
  local ran = false
  eddy.spawn(function() ran = true end)
  for i = 1, 1000 do eddy.await(function(resolve) resolve(i) end) end
  lu.assertTrue(ran)
end

function TestAwait:test_reject_raises_the_same_value()
  for _, err in ipairs { {}, "text", false, 7 } do
    local task, _, reject = pending()
    lu.assertTrue(reject(err))
    local ok, got = task:join()
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(got, err))
  end
  local task, _, reject = pending()
  reject()
  lu.assertEquals(table.pack(task:join()), { false, nil, n = 2 })
end

function TestAwait:test_answers_from_everywhere()
  local task, resolve = pending()
  coroutine.wrap(function() resolve "coroutine" end)()
  lu.assertEquals(task:await(), "coroutine")
  task, resolve = pending()
  eddy.spawn(function() coroutine.wrap(function() eddy.sleep(0) resolve "task" end)() end)
  lu.assertEquals(task:await(), "task")
  task, resolve = pending()
  setmetatable({}, { __gc = function() resolve "finalizer" end })
  collectgarbage()
  lu.assertEquals(task:await(), "finalizer")
  task, resolve = pending()
  table.sort({ 2, 1 }, function(a, b) resolve "C" return a < b end)
  lu.assertEquals(task:await(), "C")
end

function TestAwait:test_answering_only_marks_and_wakes()
  local task, resolve = pending()
  local order = {}
  local done = eddy.spawn(function() task:await() order[#order + 1] = "woken" end)
  turns()
  resolve()
  order[#order + 1] = "resolved"
  done:await()
  lu.assertEquals(order, { "resolved", "woken" })
end

function TestAwait:test_a_second_answer_is_reported_once()
  local task, resolve, reject = pending()
  lu.assertTrue(resolve "first")
  lu.assertFalse(resolve "second")
  lu.assertFalse(reject "third")
  lu.assertEquals(task:await(), "first")
  lu.assertFalse(resolve "fourth")
  lu.assertEquals(#reports, 1)
  lu.assertTrue(eddy.is(reports[1][1], "settled"))
  lu.assertStrContains(tostring(reports[1][1]), "answered again after resolve")
end

function TestAwait:test_an_error_in_on_error_does_not_reach_who_answers()
  local task, resolve = pending()
  resolve(1)
  local before = collecting.on_error
  reports = setmetatable({}, { __newindex = function() error "on_error fails" end })
  lu.assertFalse(resolve(2))
  lu.assertEquals(collecting.on_error, before)
  lu.assertEquals(task:await(), 1)
end

function TestAwait:test_fn_may_not_wait()
  local ok, err = pcall(eddy.await, function(resolve) resolve(1) eddy.sleep(0) end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot await inside 'await'")
  ok, err = pcall(eddy.await, function() coroutine.wrap(function() eddy.sleep(0) end)() end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot await")
  lu.assertEquals(eddy.stats().operations, 0)
end

function TestAwait:test_an_error_of_fn_is_raised_and_leaves_nothing()
  local err, kept = {}, nil
  local ok, got = pcall(eddy.await, function(resolve) kept = resolve error(err) end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(got, err))
  lu.assertFalse(kept(1))
  lu.assertEquals(reports, {})
  lu.assertEquals(eddy.stats().operations, 0)
end

function TestAwait:test_the_canceller_runs_before_the_cancellation_is_raised()
  local log = {}
  local task, resolve
  task = eddy.spawn(function()
    local ok, err = pcall(eddy.await, function(res)
      resolve = res
      return function()
        log[#log + 1] = eddy.current() == task
        log[#log + 1] = res "from the canceller"
      end
    end)
    log[#log + 1] = ok
    log[#log + 1] = eddy.is(err, "cancelled")
    error(err, 0)
  end)
  turns()
  lu.assertTrue(task:cancel())
  lu.assertFalse(resolve "late")
  lu.assertEquals(log, {})
  lu.assertFalse((task:join()))
  lu.assertEquals(log, { true, false, false, true })
  lu.assertFalse(resolve "later")
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals(reports, {})
end

function TestAwait:test_the_canceller_runs_once_and_only_without_an_answer()
  local runs = 0
  local function canceller() runs = runs + 1 end
  local task, resolve = pending(canceller)
  resolve(1)
  task:await()
  local _, reject
  task, _, reject = pending(canceller)
  reject "x"
  task:join()
  lu.assertEquals(runs, 0)
  task = pending(canceller)
  task:cancel()
  task:cancel()
  task:join()
  lu.assertEquals(runs, 1)
  lu.assertFalse(eddy.within(0.001, eddy.await, function() return canceller end))
  lu.assertEquals(runs, 2)
end

function TestAwait:test_a_callable_table_is_a_canceller_too()
  local runs = 0
  local task = pending(setmetatable({}, { __call = function() runs = runs + 1 end }))
  task:cancel()
  task:join()
  lu.assertEquals(runs, 1)
end

function TestAwait:test_the_canceller_cannot_wait_and_its_error_is_reported()
  local waited
  local task = pending(function()
    waited = { pcall(eddy.sleep, 0) }
    error "canceller fails"
  end)
  task:cancel()
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cancelled"))
  lu.assertFalse(waited[1])
  lu.assertStrContains(waited[2], "canceller'")
  lu.assertEquals(#reports, 1)
  lu.assertStrContains(reports[1][1], "canceller fails")
  lu.assertEquals(reports[1][2], task)
end

function TestAwait:test_cancelled_by_fn_itself()
  local log = {}
  local task = eddy.spawn(function()
    eddy.await(function(resolve)
      eddy.current():cancel()
      eddy.spawn(function() log[#log + 1] = resolve(1) end)   -- never runs
      return function() log[#log + 1] = "canceller" end
    end)
  end)
  lu.assertFalse((task:join()))
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals(log, { "canceller" })
end

function TestAwait:test_answered_by_fn_and_cancelled_too_the_answer_counts()
  local got
  local task = eddy.spawn(function()
    got = eddy.await(function(resolve)
      resolve "answer"
      eddy.current():cancel()
      return error
    end)
    eddy.sleep(0)
  end)
  lu.assertFalse((task:join()))
  lu.assertEquals(got, "answer")
  lu.assertEquals(task:status(), "cancelled")
end

function TestAwait:test_nobody_can_answer_any_more()
  local ran = false
  local task = eddy.spawn(function()
    return eddy.await(function() return function() ran = true end end)
  end)
  turns()
  collectgarbage()
  collectgarbage()
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "abandoned"))
  lu.assertTrue(eddy.is(err, "closed"))
  lu.assertTrue(ran)
end

function TestAwait:test_misuse()
  lu.assertErrorMsgContains("function expected", eddy.await)
  lu.assertErrorMsgContains("function expected", eddy.await, 1)
  lu.assertErrorMsgContains("must return a canceller", eddy.await, function() return 1 end)
  lu.assertErrorMsgContains("must return a canceller", eddy.await, function(resolve) resolve(1) return {} end)
  lu.assertEquals(eddy.stats().operations, 0)
end

function TestAwait:test_nothing_happens_where_waiting_is_impossible()
  local called = false
  local function fn(resolve) called = true resolve(1) end
  local ok, err = pcall(table.sort, { 2, 1 }, function() eddy.await(fn) end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot await inside 'sort'")
  local task = eddy.spawn(function() eddy.current():cancel() eddy.await(fn) end)
  task:join()
  lu.assertFalse(called)
end

function TestAwait:test_outside_a_task()
  lu.assertErrorMsgContains("cannot await outside a task", eddy.await, error)
end

function TestAwait:test_outside_answered_between_runs()
  local resolve
  lu.assertErrorMsgContains("nothing can ever run", eddy.run, function() eddy.await(function(res) resolve = res end) end)
  lu.assertFalse(resolve(1))
end

function TestAwait:test_outside_answered_where_no_task_runs()
  local resolve
  eddy.config { on_error = function() resolve "from on_error" end }
  local got = eddy.run(function()
    eddy.background(function() eddy.sleep(0) error "reported" end)
    return eddy.await(function(res) resolve = res end)
  end)
  eddy.config { on_error = false }
  lu.assertEquals(got, "from on_error")
end

local TestDeadlock = {}

function TestDeadlock:test_outside_nothing_could_call_back()
  local kept, cancelled = nil, false
  local ok, err = pcall(eddy.run, function()
    eddy.await(function(resolve) kept = resolve return function() cancelled = true end end)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"))
  lu.assertStrContains(tostring(err), "waiting in await")
  lu.assertTrue(cancelled)
  lu.assertFalse(kept(1))
end

function TestDeadlock:test_outside_a_listener_of_ours_is_no_hope()
  lu.assertErrorMsgContains("nothing can ever run", eddy.run, function()
    local listener <close> = assert(require("eddy.net").listen { host = "127.0.0.1", port = 0 })
    eddy.await(function(resolve) self.kept = resolve end)
    return listener
  end)
end

function TestDeadlock:test_outside_another_task_is_hope()
  local resolve
  local got = eddy.run(function()
    eddy.spawn(function() eddy.sleep(0.001) resolve "in time" end)
    return eddy.await(function(res) resolve = res end)
  end)
  lu.assertEquals(got, "in time")
end

-- Only the interpreter of `make sanitize` can be a library that shares the loop.
local TestForeign = {}

local has_foreign, foreign = pcall(require, "spec.foreign")

local function run_foreign(chunk)
  lu.skipIf(not has_foreign, "needs the interpreter of make sanitize")
  return foreign.run("local eddy = require 'eddy'\n" .. chunk)
end

function TestForeign:test_outside_a_callback_of_the_loop_answers()
  lu.assertEquals(run_foreign [[
    return eddy.run(function()
      return eddy.await(function(resolve) later(10, function() OK = resolve "called back" end) end) .. tostring(OK)
    end)]], "called backtrue")
end

function TestForeign:test_outside_a_callback_that_comes_too_late()
  lu.assertEquals(run_foreign [[
    local late, log = nil, ""
    eddy.run(function()
      local ended = eddy.within(0.001, eddy.await, function(resolve)
        later(20, function() late = resolve(1) end)
        return function() log = log .. "cancelled " end
      end)
      log = log .. tostring(ended) .. " "
      while late == nil do eddy.sleep(0.005) end
    end)
    return log .. tostring(late)]], "cancelled false false")
end

function TestForeign:test_outside_it_is_a_deadlock_once_nothing_can_call_back()
  lu.assertStrContains(run_foreign [[
    eddy.run(function() eddy.await(function(resolve) KEPT = resolve later(10, function() end) end) end)]],
    "nothing can ever run again")
end

local TestEnd = {}

function TestEnd:test_outside_a_killed_task_runs_its_canceller()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    eddy.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() print "closed" end })
      eddy.await(function(resolve)
        KEPT = resolve
        return function() print("canceller", pcall(eddy.sleep, 0)) print(resolve(1)) end
      end)
    end)
    eddy.spawn(function() eddy.await(function() return function() print "second" end end) end)
    eddy.sleep(0) eddy.sleep(0)
    os.exit(0, true)]] }
  lu.assertEquals(result.stderr, "")
  lu.assertStrContains(result.stdout, "cannot await: task is being killed")
  lu.assertStrMatches(result.stdout, "second\ncanceller\tfalse\t[^\n]*\nfalse\nclosed\n")
  lu.assertEquals(result.code, 0)
end

return { TestAwait = TestAwait, TestDeadlock = TestDeadlock, TestForeign = TestForeign, TestEnd = TestEnd }
