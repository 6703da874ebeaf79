-- SPDX-License-Identifier: MIT
-- What a failure leaves to read: where it was raised, who awaited it, where those were spawned.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local function culprit(value) error(value) end

-- Do the parts stand in the text in this order?
local function assert_in_order(text, ...)
  local at = 1
  for _, part in ipairs { ... } do
    local from, to = text:find(part, at, true)
    if not from then lu.fail(("no %q behind position %d of:\n%s"):format(part, at, text)) end
    at = to + 1
  end
end

local TestChain = {}

function TestChain:test_the_whole_way_from_the_error_to_the_last_waiter()
  local function inner() eddy.sleep(0) culprit "broken" end
  local task = eddy.spawn_with({ name = "outer" }, function()
    local child = eddy.spawn_with({ name = "inner" }, inner)
    return child:await()
  end)
  lu.assertFalse((task:join()))
  assert_in_order(task:traceback(), "in upvalue 'culprit'", "spawned at spec/core/trace_spec.lua:", "by outer",
    "spawned at", "by main", "awaited by outer", "in method 'await'", "spawned at", "by main")
end

function TestChain:test_through_a_block_a_gather_and_an_implicit_join()
  for name, through in pairs {
    block = function(fn) eddy.timeout(5, fn) end,
    group = function(fn) eddy.group(function(g) g:spawn(fn) end) end,
    close = function(fn) local g <close> = eddy.group() g:spawn(fn) end,
    gather = function(fn) eddy.gather(fn) end,
    race = function(fn) eddy.race { fn } end,
    implicit = function(fn) eddy.spawn(fn) end,
    coroutine = function(fn) coroutine.wrap(function() eddy.gather(fn) end)() end,
  } do
    for _, value in ipairs { "text", eddy.error { kind = "io" } } do
      local task = eddy.spawn(function() through(function() eddy.sleep(0) culprit(value) end) end)
      task:join()
      lu.assertStrContains(task:traceback(), "'culprit'", false)
      if value ~= "text" then lu.assertEquals(value.traceback, task:traceback(), name) end
    end
  end
end

function TestChain:test_the_same_text_of_two_failures_is_not_mixed_up()
  local function first() error("same", 0) end
  local function second() error("same", 0) end
  pcall(eddy.gather, function() first() end)
  local task = eddy.spawn(function() second() end)
  task:join()
  lu.assertStrContains(task:traceback(), "'second'")
  lu.assertNotStrContains(task:traceback(), "'first'")
end

function TestChain:test_the_value_is_not_changed()
  for _, value in ipairs { "text", 7, false, {}, eddy.error { kind = "io" } } do
    local closed
    local task = eddy.spawn(function()
      local _ <close> = setmetatable({}, { __close = function(_, err) closed = { err } end })
      culprit(value)
    end)
    local _, err = task:join()
    if value ~= "text" then lu.assertTrue(rawequal(err, value)) end
    lu.assertTrue(rawequal(closed[1], err))
  end
end

function TestChain:test_of_a_task_that_lives()
  local event = eddy.event()
  local function inside() event:wait() end
  local task = eddy.spawn(function() coroutine.wrap(function() inside() end)() end)
  eddy.sleep(0)
  assert_in_order(task:traceback(), "in a coroutine", "'inside'", "stack traceback", "spawned at", "by main")
  event:set()
  task:join()
  lu.assertEquals(task:traceback(), "")
end

local TestReport = {}

function TestReport:test_of_an_error_with_a_cause()
  local task = eddy.spawn(function()
    culprit(eddy.error {
      kind = "io", code = "EPIPE", message = "broken", cause = eddy.error { kind = "tls", message = "why" },
      suppressed = { "and this" },
    })
  end)
  local _, err = task:join()
  assert_in_order(err:report(), "broken (EPIPE)", "'culprit'", "spawned at", "caused by why (tls)", "suppressed: and this")
  lu.assertNotStrContains(tostring(err), "\n")
end

function TestReport:test_of_a_group_with_a_traceback_for_each()
  local ok, err = pcall(eddy.group, function(g)
    g:spawn(function() pcall(eddy.sleep, 10) culprit "second" end)
    g:spawn(function() eddy.sleep(0) error(eddy.error { kind = "io", message = "first" }) end)
  end)
  lu.assertFalse(ok)
  assert_in_order(err:report(), "1. first (io)", "spawned at", "2. ", "second", "'culprit'", "spawned at")
end

function TestReport:test_outside_uncaught_errors_tell_it_too()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    local function culprit() error "gone" end
    eddy.background(function() culprit() end)
    eddy.sleep(0)
    eddy.sleep(0)
    eddy.spawn(function() error(eddy.error { kind = "io", message = "last" }) end)]] }
  assert_in_order(result.stderr, "gone", "'culprit'", "spawned at (command line):3", "last (io)", "spawned at (command line):6 by main")
  lu.assertEquals(result.code, 1)
end

function TestReport:test_many_lines_are_remembered_once_each()
  local made = {}
  for i = 1, 300 do
    made[i] = load(("local eddy = ... return eddy.spawn(function() error('x', 0) end)"), "=chunk" .. i)
  end
  for i, fn in ipairs(made) do
    local task = fn(eddy)
    task:join()
    lu.assertStrContains(task:traceback(), "spawned at chunk" .. i .. ":1 by main")
  end
end

return { TestChain = TestChain, TestReport = TestReport }
