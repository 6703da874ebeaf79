-- SPDX-License-Identifier: MIT
-- Every function that waits refuses to where Lua cannot suspend, before it does anything. Statement 28.
local lu = ...
local eddy = require "eddy"
local stock = require "spec.support.stock"

local ran   -- by a function that must not be called

local function body() ran = true end

-- Each is a wait that could end at once.
local function all_waits()
  local event, queue, semaphore = eddy.event(), eddy.queue(2), eddy.semaphore(1)
  local ended = eddy.spawn(function() return 1 end)
  ended:await()
  event:set()
  queue:put "x"
  local cases = {
    sleep = { eddy.sleep, 0 }, sleep_until = { eddy.sleep_until, 0 }, group = { eddy.group, body },
    group_closing = { eddy.group }, gather = { eddy.gather, body }, gather_none = { eddy.gather },
    settle = { eddy.settle, { body } }, race = { eddy.race, { body } }, any = { eddy.any, { body } },
    timeout = { eddy.timeout, 1, body }, within = { eddy.within, 1, body }, shield = { eddy.shield, 1, body },
    await = { ended.await, ended }, join = { ended.join, ended }, event_wait = { event.wait, event },
    queue_get = { queue.get, queue }, queue_put = { queue.put, queue, 1 }, queue_join = { eddy.queue().join, eddy.queue() },
    acquire = { semaphore.acquire, semaphore }, with = { semaphore.with, semaphore, body },
  }
  local function unchanged()
    lu.assertNil(ran)
    lu.assertEquals({ queue:size(), semaphore:available() }, { 1, 1 })
  end
  return cases, unchanged
end

local function assert_refused(wanted, ...)
  local ok, err = pcall(...)
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(err), wanted)
end

local TestAwait = {}

function TestAwait:setUp() ran = nil end

function TestAwait:test_inside_sort()
  local cases, unchanged = all_waits()
  local tasks = eddy.stats().tasks
  for _, case in pairs(cases) do
    assert_refused("cannot await inside 'sort'", table.sort, { 2, 1 }, function() case[1](table.unpack(case, 2)) end)
  end
  lu.assertEquals(eddy.stats().tasks, tasks)
  unchanged()
end

function TestAwait:test_inside_a_plain_coroutine()
  local cases, unchanged = all_waits()
  for _, case in pairs(cases) do
    local text = stock.wrap(function() return tostring(select(2, pcall(table.unpack(case)))) end)()
    lu.assertStrContains(text, "cannot await inside a plain coroutine")
  end
  unchanged()
end

function TestAwait:test_outside_a_task()
  local cases, unchanged
  eddy.run(function() cases, unchanged = all_waits() end)
  for _, case in pairs(cases) do assert_refused("cannot await outside a task", table.unpack(case)) end
  unchanged()
end

function TestAwait:test_inside_a_message_handler()
  local said
  xpcall(error, function() said = select(2, pcall(eddy.sleep, 0)) end, "x")
  lu.assertStrContains(said, "cannot await")
end

function TestAwait:test_inside_a_hook()
  local said
  debug.sethook(function() debug.sethook() said = select(2, pcall(eddy.sleep, 0)) end, "l")
  local _ = said
  lu.assertStrContains(said, "cannot await")
end

function TestAwait:test_closing_a_group_inside_sort()
  local group = eddy.group()
  group:spawn(eddy.sleep, 0)
  assert_refused("cannot await inside 'sort'", table.sort, { 2, 1 }, function() local _ <close> = group return true end)
  lu.assertEquals(eddy.current():status(), "running")
  local _ <close> = group
end

function TestAwait:test_closing_a_group_inside_a_plain_coroutine()
  local group, ended = eddy.group(), false
  group:spawn(function() eddy.sleep(0) ended = true end)
  local closed, err = stock.wrap(function()
    return pcall(function() local _ <close> = group end)
  end)()
  local status = eddy.current():status()
  do local _ <close> = group end
  lu.assertTrue(ended)
  lu.assertEquals({ closed, status }, { false, "running" })
  lu.assertStrContains(err, "plain coroutine")
end

function TestAwait:test_argument_errors_come_first()
  lu.assertErrorMsgContains("number expected", table.sort, { 2, 1 }, function() eddy.sleep "x" end)
  lu.assertErrorMsgContains("nil cannot be an item", table.sort, { 2, 1 }, function() eddy.queue():put(nil) end)
  lu.assertErrorMsgContains("above 0", table.sort, { 2, 1 }, function() eddy.semaphore(1):acquire(0) end)
  lu.assertErrorMsgContains("member 1", table.sort, { 2, 1 }, function() eddy.gather(5) end)
end

function TestAwait:test_spawning_is_allowed()
  local started
  table.sort({ 2, 1 }, function() eddy.spawn(function() started = true end) return true end)
  lu.assertNil(started)
  eddy.sleep(0)
  lu.assertTrue(started)
end

function TestAwait:test_misuse_names_the_calling_line()
  local line = debug.getinfo(1, "l").currentline + 1
  local _, err = pcall(function() eddy.sleep "x" end)
  lu.assertStrContains(err, "await_spec.lua:" .. line)
end

return { TestAwait = TestAwait }
