-- SPDX-License-Identifier: MIT
-- Errors on their way through tasks, blocks and gathers: which value arrives, and what it tells.
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function fails(value) return function() error(value, 0) end end

local VALUES = { false, 7, "text", { "table" }, io.stdout, print }

-- How code that was waited for fails, each with one failing function.
local WAYS = {
  await = function(fn) eddy.spawn(fn):await() end,
  gather = function(fn) eddy.gather(fn) end,
  race = function(fn) eddy.race { fn } end,
  group_body = function(fn) eddy.group(fn) end,
  group_child = function(fn) eddy.group(function(group) group:spawn(fn) end) end,
  close_body = function(fn) local _ <close> = eddy.group() fn() end,
  close_child = function(fn) local group <close> = eddy.group() group:spawn(fn) end,
  timeout = function(fn) eddy.timeout(1, fn) end,
  within = function(fn) eddy.within(1, fn) end,
  shield = function(fn) eddy.shield(1, fn) end,
  implicit = function(fn) eddy.spawn(function() eddy.spawn(fn) end):await() end,
}

local TestValues = {}

function TestValues:test_s023_the_same_value_arrives()
  for name, way in pairs(WAYS) do
    for _, value in ipairs(VALUES) do
      local ok, err = pcall(way, fails(value))
      lu.assertFalse(ok, name)
      lu.assertTrue(rawequal(err, value), name)
    end
    lu.assertEquals(table.pack(pcall(way, fails(nil))), { false, nil, n = 2 })
  end
end

function TestValues:test_outside_run_raises_the_same_value()
  for _, value in ipairs(VALUES) do
    local ok, err = pcall(eddy.run, fails(value))
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value))
  end
  lu.assertEquals(table.pack(pcall(eddy.run, fails(nil))), { false, nil, n = 2 })
end

function TestValues:test_s018_an_error_that_contains_a_cancellation()
  local task = eddy.spawn(function()
    local _, err = pcall(eddy.sleep, 1000)
    error({ inside = err }, 0)
  end)
  turns(1)
  task:cancel()
  task:join()
  lu.assertEquals(task:status(), "failed")
end

function TestValues:test_s022_fails_while_nobody_awaits()
  local late
  local ok, err = pcall(eddy.group, function(group)
    late = group:spawn(fails "alone")
    eddy.sleep(1000)
  end)
  lu.assertEquals({ ok, err, late:status() }, { false, "alone", "failed" })
  lu.assertEquals({ late:join() }, { false, "alone" })
end

function TestValues:test_s022_a_waiter_takes_the_failure()
  eddy.group(function(group)
    local task = group:spawn(function() turns(2) error("taken", 0) end)
    lu.assertEquals({ task:join() }, { false, "taken" })
  end)
end

function TestValues:test_a_cancelled_member_is_left_out_of_the_group()
  local ok, err = pcall(eddy.group, function(group)
    group:spawn(eddy.sleep, 1000)
    group:spawn(function() pcall(eddy.sleep, 1000) error("second", 0) end)
    turns(1)
    group:spawn(fails "first")
    eddy.sleep(1000)
  end)
  lu.assertFalse(ok)
  lu.assertEquals(err.errors, { "first", "second" })
end

local TestObjects = {}

function TestObjects:test_outside_fields_and_text()
  local err = eddy.error { kind = "io", code = "ECONNREFUSED", op = "connect", target = "h:1", message = "refused" }
  lu.assertEquals(tostring(err), "connect h:1: refused (ECONNREFUSED)")
  lu.assertTrue(eddy.is(err, "io") and eddy.is(err, "ECONNREFUSED"))
  local bare = eddy.error {}
  lu.assertEquals({ bare.kind, bare.code }, { "error", "error" })
  local outer = eddy.error { kind = "protocol", cause = err }
  lu.assertFalse(eddy.is(outer, "io"))   -- causes are not looked into
  lu.assertErrorMsgContains("table expected", eddy.error, "text")
  lu.assertNotStrContains(tostring(outer), "\n")
end

function TestObjects:test_outside_is_with_anything()
  for _, value in ipairs { 1, "io", false, {}, { kind = "io" }, io.stdout } do lu.assertFalse(eddy.is(value, "io")) end
  lu.assertFalse(eddy.is(nil, "io"))
end

function TestObjects:test_s049_reason_of_a_cancellation()
  local reason = {}
  local task = eddy.spawn(eddy.sleep, 1000)
  turns(1)
  task:cancel(reason)
  local _, err = task:join()
  lu.assertTrue(rawequal(err.reason, reason))
  lu.assertEquals({ err.kind, err.code }, { "cancelled", "cancelled" })
end

function TestObjects:test_s006_s049_a_member_that_never_ran()
  local late
  eddy.group(function(group)
    group:cancel "why"
    late = group:spawn(print)
  end)
  local _, first = late:join()
  local _, second = late:join()
  lu.assertTrue(rawequal(first, second))
  lu.assertEquals(first.reason, "why")
end

function TestObjects:test_traceback_on_error_objects()
  local function culprit() error(eddy.error { kind = "io" }) end
  local _, err = eddy.spawn(function() culprit() end):join()
  lu.assertStrContains(err.traceback, "culprit")
end

function TestObjects:test_traceback_is_of_the_task_itself()
  pcall(eddy.gather, function() local function culprit() error "x" end culprit() end)
  local text = eddy.gather(function() return eddy.current():traceback() end)   -- may run where the other one ran
  lu.assertNotStrContains(text, "culprit")
end

function TestObjects:test_operations_are_not_counted_after_a_failed_await()
  local before = eddy.stats().operations
  local task = eddy.spawn(function() turns(1) error "x" end)
  pcall(task.await, task)
  lu.assertEquals(eddy.stats().operations, before)
end

return { TestValues = TestValues, TestObjects = TestObjects }
