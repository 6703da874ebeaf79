-- SPDX-License-Identifier: MIT
-- group:start: a member that says when it is ready.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local function turns(n) for _ = 1, n or 2 do eddy.sleep(0) end end

local TestStart = { clock = "manual" }

function TestStart:test_s92_returns_what_ready_was_called_with()
  eddy.group(function(group)
    local start = eddy.now()
    local values = table.pack(group:start(function(ready, a, b)
      eddy.sleep(1)
      ready(a, nil, b, nil)
      eddy.sleep(1)
    end, "a", "b"))
    lu.assertEquals(values, { "a", nil, "b", nil, n = 4 })
    lu.assertAlmostEquals(eddy.now() - start, 1, 1e-6)
    lu.assertEquals(select("#", group:start(function(ready) ready() end)), 0)
    lu.assertFalse(group:start(function(ready) ready(false) end))
  end)
end

function TestStart:test_the_child_is_a_member()
  local log = {}
  eddy.group(function(group)
    group:start(function(ready) ready() eddy.sleep(1) log[#log + 1] = "child" end)
    log[#log + 1] = "body"
  end)
  lu.assertEquals(log, { "body", "child" })
end

function TestStart:test_s92_a_failure_before_ready_is_the_callers_alone()
  local err, other = {}, false
  eddy.group(function(group)
    group:spawn(function() eddy.sleep(2) other = true end)
    local ok, got = pcall(group.start, group, function() eddy.sleep(1) error(err) end)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(got, err))
    eddy.sleep(0)
  end)
  lu.assertTrue(other)
end

function TestStart:test_a_failure_after_ready_is_the_groups()
  local err, reached = {}, false
  local ok, got = pcall(eddy.group, function(group)
    group:start(function(ready) ready() eddy.sleep(1) error(err) end)
    eddy.sleep(10)
    reached = true
  end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(got, err))
  lu.assertFalse(reached)
end

function TestStart:test_a_failure_in_the_turn_of_ready_is_the_groups()
  local got
  local ok, err = pcall(eddy.group, function(group)
    got = group:start(function(ready) ready "value" error("e", 0) end)
    eddy.sleep(10)
  end)
  lu.assertEquals({ got, ok, err }, { "value", false, "e" })
end

function TestStart:test_s92_returning_without_ready_raises()
  eddy.group(function(group)
    lu.assertErrorMsgMatches(".-start_spec%.lua:%d+: group:start: the function returned without calling ready",
      function() group:start(function() eddy.sleep(1) end) end)
  end)
end

function TestStart:test_s92_ready_twice_raises()
  local ok, err = pcall(eddy.group, function(group)
    lu.assertEquals(group:start(function(ready) ready(1) ready(2) end), 1)
    eddy.sleep(10)
  end)
  lu.assertFalse(ok)
  lu.assertStrMatches(err, ".-start_spec%.lua:%d+: ready was called before")
end

function TestStart:test_ready_may_be_called_by_another_task_and_from_a_coroutine()
  eddy.group(function(group)
    local kept
    group:spawn(function() eddy.sleep(1) coroutine.wrap(kept)("late") end)
    lu.assertEquals(group:start(function(ready) kept = ready eddy.sleep(5) end), "late")
  end)
end

function TestStart:test_s92_cancelled_before_ready_cancels_the_child_and_waits()
  local log = {}
  eddy.group(function(group)
    local task = eddy.spawn(group.start, group, function(ready)
      local _ <close> = eddy.defer(function(err)
        eddy.sleep(1)
        ready "too late"
        log[#log + 1] = eddy.is(err, "cancelled")
      end)
      eddy.sleep(1000)
    end)
    turns()
    task:cancel()
    local ok, err = task:join()
    log[#log + 1] = ok
    log[#log + 1] = eddy.is(err, "cancelled")
    log[#log + 1] = task:status()
  end)
  lu.assertEquals(log, { true, false, true, "cancelled" })
end

function TestStart:test_cancelled_and_the_child_fails_in_its_clean_up()
  eddy.group(function(group)
    local task = eddy.spawn(function()
      local ok, err = pcall(group.start, group, function()
        local _ <close> = setmetatable({}, { __close = function() error("clean-up", 0) end })
        eddy.sleep(1000)
      end)
      lu.assertEquals({ ok, err }, { false, "clean-up" })
      eddy.sleep(0)
      error "not reached"
    end)
    turns()
    task:cancel()
    task:join()
    lu.assertEquals(task:status(), "cancelled")
  end)
end

function TestStart:test_ready_first_then_cancelled_in_one_turn()
  eddy.group(function(group)
    local kept, got
    local task = eddy.spawn(function()
      got = group:start(function(ready) kept = ready eddy.sleep(1) end)
      eddy.sleep(0)
    end)
    turns(3)
    kept "value"
    task:cancel()
    task:join()
    lu.assertEquals({ got, task:status() }, { "value", "cancelled" })
  end)
end

function TestStart:test_the_child_is_cancelled_by_somebody()
  eddy.group(function(group)
    local ok, err = pcall(group.start, group, function() eddy.current():cancel "why" eddy.sleep(1) end)
    lu.assertFalse(ok)
    lu.assertEquals({ err.kind, err.reason }, { "cancelled", "why" })
    eddy.sleep(0)   -- that was no cancellation of ours
  end)
end

function TestStart:test_the_group_is_cancelled()
  local ended = false
  local result = table.pack(eddy.group(function(group)
    eddy.spawn(function() eddy.sleep(1) group:cancel() end)
    group:start(function()
      local _ <close> = eddy.defer(function() eddy.sleep(1) ended = true end)
      eddy.sleep(1000)
    end)
  end))
  lu.assertEquals({ result.n, ended }, { 0, true })
end

function TestStart:test_close_form()
  local log = {}
  do
    local group <close> = eddy.group()
    log[1] = group:start(function(ready) ready "up" eddy.sleep(1) log[2] = "down" end)
  end
  lu.assertEquals(log, { "up", "down" })
end

function TestStart:test_the_traceback_shows_both()
  local function fails_deep_inside() error "e" end
  local task = eddy.spawn(eddy.group, function(group) group:start(function() fails_deep_inside() end) end)
  lu.assertFalse((task:join()))
  lu.assertStrContains(task:traceback(), "fails_deep_inside")
  lu.assertStrContains(task:traceback(), "awaited by")
end

function TestStart:test_misuse()
  local ended
  eddy.group(function(group)
    ended = group
    lu.assertErrorMsgContains("function expected", group.start, group)
    local ok, err = pcall(table.sort, { 2, 1 }, function() group:start(error) end)
    lu.assertFalse(ok)
    lu.assertStrContains(err, "cannot await inside 'sort'")
  end)
  lu.assertErrorMsgContains("the group has ended", ended.start, ended, print)
end

function TestStart:test_outside_a_deadlock_names_both()
  local ok, err = pcall(eddy.run, function()
    eddy.group(function(group) group:start(function() eddy.event():wait() end) end)
  end)
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(err), "group:start of task")
  lu.assertStrContains(tostring(err), "event:wait")
end

function TestStart:test_outside_killed_while_it_waits()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    eddy.spawn(function()
      eddy.group(function(group)
        group:start(function(ready)
          ready = nil
          local _ <close> = setmetatable({}, { __close = function() print "child closed" end })
          while true do eddy.sleep(0) end
        end)
      end)
    end)
    eddy.spawn(function()
      eddy.group(function(group)
        KEPT = group
        eddy.sleep(1000)
      end)
    end)
    eddy.spawn(function()
      KEPT:start(function(ready) RETAINED = ready eddy.sleep(1000) end)
    end)
    for _ = 1, 5 do eddy.sleep(0) end
    collectgarbage()
    local _ <close> = setmetatable({}, { __close = function() print "end" collectgarbage() RETAINED(1) end })
    os.exit(0, true)]] }
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.stdout, "child closed\nend\n")
  lu.assertEquals(result.code, 0)
end

return { TestStart = TestStart }
