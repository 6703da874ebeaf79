-- SPDX-License-Identifier: MIT
-- The call: errors and their tracebacks, the worker's state, configuration, offload_map.
local lu = ...
local eddy = require "eddy"

-- ---- Errors ------------------------------------------------------------------------------------

local TestErrors = {}

local function raised(...)
  local ok, err = pcall(eddy.offload, ...)
  lu.assertFalse(ok)
  return err
end

function TestErrors:test_the_same_kind_of_value()
  lu.assertStrMatches(raised(function() error "text" end), ".-call_spec%.lua:%d+: text")
  lu.assertEquals(raised(function() error("text", 0) end), "text")
  lu.assertEquals(raised(function() error(42) end), 42)
  lu.assertEquals(raised(function() error(false) end), false)
  lu.assertNil(raised(function() error(nil) end))
  lu.assertEquals(raised(function() error { code = 1, list = { 2 } } end), { code = 1, list = { 2 } })
  lu.assertEquals(raised(function() error(function() return "called" end) end)(), "called")
end

function TestErrors:test_error_objects()
  local err = raised(function()
    local eddy = require "eddy"  -- luacheck: ignore
    error(eddy.error { kind = "protocol", code = "EX", message = "bad" })
  end)
  lu.assertIs(getmetatable(err), eddy.Error)
  lu.assertTrue(eddy.is(err, "protocol"))
  lu.assertTrue(eddy.is(err, "EX"))
end

function TestErrors:test_error_groups()
  local err = raised(function()
    local eddy = require "eddy"  -- luacheck: ignore
    eddy.run(eddy.any, { function() error("a", 0) end, function() error("b", 0) end })
  end)
  lu.assertIs(getmetatable(err), eddy.ErrorGroup)
  lu.assertEquals(err.errors, { "a", "b" })
end

function TestErrors:test_an_error_that_cannot_travel_is_replaced()
  local err = raised(function() error(setmetatable({ f = io.stdout }, { __tostring = function() return "speaking" end })) end)
  lu.assertTrue(eddy.is(err, "worker"))
  lu.assertStrContains(tostring(err), "speaking")
  lu.assertStrContains(tostring(err), "error 1.f: userdata")
  err = raised(function() error(setmetatable({ f = io.stdout }, { __tostring = function() error "no" end })) end)
  lu.assertStrContains(tostring(err), "an error that is a table")
end

function TestErrors:test_stack_overflow()
  lu.assertStrContains(raised(function() local function f() return 1 + f() end f() end), "stack overflow")
  lu.assertEquals(eddy.offload(math.abs, -1), 1)
end

local function inner_thrower() error "inner" end
local function outer_caller() eddy.offload(inner_thrower) end

function TestErrors:test_both_tracebacks_of_a_text()
  local task = eddy.spawn(outer_caller)
  lu.assertFalse((task:join()))
  local text = task:traceback()
  lu.assertStrContains(text, "in a worker")
  lu.assertStrMatches(text, ".-in a worker.-call_spec%.lua:%d+: in .-offloaded from.-stack traceback.-call_spec%.lua:%d+: in .*")
end

function TestErrors:test_both_tracebacks_of_an_object()
  local task = eddy.spawn(function()
    eddy.offload(function() error(require("eddy").error { kind = "worker" }) end)
  end)
  local _, err = task:join()
  lu.assertStrMatches(err.traceback, ".-in a worker.-offloaded from.-stack traceback.*")
  lu.assertEquals(task:traceback(), err.traceback)
end

function TestErrors:test_a_module_that_is_not_there()
  package.loaded["spec.no_such_module"] = { here = true }
  local module = package.loaded["spec.no_such_module"]
  local err = raised(function() return module.here end)
  package.loaded["spec.no_such_module"] = nil
  lu.assertStrContains(err, "module 'spec.no_such_module' not found")
end

-- ---- The state of a worker ---------------------------------------------------------------------

local TestState = { config = { workers = 1 } }

function TestState:test_is_reused()
  local function count() counter = (counter or 0) + 1 return counter end  -- luacheck: ignore
  lu.assertEquals({ eddy.offload(count), eddy.offload(count), eddy.offload(count) }, { 1, 2, 3 })
  lu.assertNil(rawget(_G, "counter"))
end

function TestState:test_is_fresh_in_the_next_run()
  lu.assertEquals(eddy.offload(function() counter = (counter or 0) + 1 return counter end), 1)  -- luacheck: ignore
end

function TestState:test_require_and_paths()
  package.path = "./spec/no_such_folder/?.lua;" .. package.path
  local path, cpath = eddy.offload(function() return package.path, package.cpath end)
  lu.assertEquals({ path, cpath }, { package.path, package.cpath })
  package.path = package.path:gsub("^[^;]*;", "")
  lu.assertEquals(eddy.offload(function() return type(require("spec.support.expect").output) end), "function")
end

function TestState:test_a_run_in_a_worker()
  local function inside(n)
    local eddy = require "eddy"  -- luacheck: ignore
    return eddy.run(function()
      local queue = eddy.queue(2)
      eddy.spawn(function() for i = 1, n do queue:put(i) end queue:close() end)
      local sum = 0
      for i in queue:iter() do sum = sum + i end
      eddy.sleep(0.001)
      return sum, eddy.stats().tasks
    end)
  end
  lu.assertEquals({ eddy.offload(inside, 100) }, { 5050, 1 })
  lu.assertEquals({ eddy.offload(inside, 10) }, { 55, 1 })
end

function TestState:test_a_worker_has_workers()
  local function inside()
    local eddy = require "eddy"  -- luacheck: ignore
    return eddy.run(function() return eddy.offload(function() return "in the third state" end) end)
  end
  lu.assertEquals(eddy.offload(inside), "in the third state")
end

function TestState:test_awaiting_without_a_run_says_so()
  local ok, err = pcall(eddy.offload, function() require("eddy").sleep(0) end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot await outside a task")
end

function TestState:test_coroutines_of_a_job()
  local function generate(n)
    local list = {}
    for i in coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) do list[#list + 1] = i end
    return list
  end
  lu.assertEquals(eddy.offload(generate, 3), { 1, 2, 3 })
end

function TestState:test_a_job_cannot_yield()
  local ok, err = pcall(eddy.offload, function() coroutine.yield() end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "yield")
end

-- ---- Configuration -----------------------------------------------------------------------------

local TestInit = { config = { workers = 1, worker_init = function() prepared = (prepared or 0) + 1 end } }  -- luacheck: ignore

function TestInit:test_runs_once_in_a_fresh_state()
  for _ = 1, 3 do lu.assertEquals(eddy.offload(function() return prepared end), 1) end  -- luacheck: ignore
  eddy.within(0.01, eddy.offload, function() while true do end end)
  lu.assertEquals(eddy.offload(function() return prepared end), 1)  -- luacheck: ignore
end

local attempts = 0
local TestBadInit = { config = { workers = 1, worker_init = function() error("init " .. attempts, 0) end } }

function TestBadInit:test_its_error_is_that_of_the_call()
  for _ = 1, 2 do
    local ok, err = pcall(eddy.offload, print)
    lu.assertEquals({ ok, err }, { false, "init 0" })
  end
end

local file = io.stdout
local TestRefusedInit = { config = { worker_init = function() return file end } }

function TestRefusedInit:test_says_what_cannot_travel()
  lu.assertErrorMsgContains("cannot transfer worker_init 1 (upvalue file): userdata", eddy.offload, print)
end

local TestEndlessInit = { config = { workers = 1, worker_init = function() while true do end end } }

function TestEndlessInit:test_can_be_cancelled()
  lu.assertFalse(eddy.within(0.02, eddy.offload, print))
end

local TestMemory = { config = { workers = 1, worker_memory = 8 << 20 } }

local function hog()
  local list = {}
  for i = 1, math.huge do list[i] = ("x"):rep(1000) .. i end
  return list
end

function TestMemory:test_fails_only_its_call()
  for _ = 1, 3 do
    local ok, err = pcall(eddy.offload, hog)
    lu.assertFalse(ok)
    lu.assertTrue(eddy.is(err, "limit"))
    lu.assertTrue(eddy.is(err, "memory"))
    lu.assertEquals(eddy.offload(string.rep, "a", 3), "aaa")
  end
end

function TestMemory:test_one_large_request()
  local ok, err = pcall(eddy.offload, function() return #("x"):rep(1 << 24) end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "memory"))
end

function TestMemory:test_an_argument_that_is_too_large()
  local ok, err = pcall(eddy.offload, function(text) return #text end, ("x"):rep(1 << 24))
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "memory"))
end

function TestMemory:test_a_job_may_catch_it_itself()
  lu.assertFalse(eddy.offload(function() return (pcall(string.rep, "x", 1 << 24)) end))
end

local TestTinyMemory = { config = { workers = 1, worker_memory = 5000 } }

function TestTinyMemory:test_not_even_a_state()
  for _ = 1, 2 do
    local ok, err = pcall(eddy.offload, print)
    lu.assertFalse(ok)
    lu.assertTrue(eddy.is(err, "memory"))
  end
end

local TestConfig = {}

function TestConfig:test_outside_bad_options()
  for _, value in ipairs { 0, -1, 1.5, "2", {} } do
    lu.assertErrorMsgContains("config option 'workers' must be a positive integer", eddy.config, { workers = value })
  end
  lu.assertErrorMsgContains("'worker_memory' must be a positive number of bytes", eddy.config, { worker_memory = "1" })
  lu.assertErrorMsgContains("config option 'worker_init' must be a function", eddy.config, { worker_init = 1 })
  eddy.config { workers = false, worker_memory = false, worker_init = false }
end

-- ---- offload_map -------------------------------------------------------------------------------

local TestMap = { config = { workers = 2 } }

function TestMap:test_results_in_order()
  local results = eddy.offload_map({ 3, 1, 2 }, function(value, index) return value * 10 + index, "dropped" end)
  lu.assertEquals(results, { 31, 12, 23, n = 3 })
  lu.assertEquals(eddy.offload_map({}, print), { n = 0 })
  lu.assertEquals(eddy.offload_map({ n = 3, [2] = 1 }, function(value) return value end), { nil, 1, nil, n = 3 })
end

function TestMap:test_limit()
  local most = 0
  local watcher = eddy.spawn(function()
    while true do
      most = math.max(most, eddy.stats().jobs)
      eddy.sleep(0)
    end
  end)
  local list = {}
  for i = 1, 30 do list[i] = i end
  lu.assertEquals(eddy.offload_map(list, function(i) return i end, { limit = 3 }).n, 30)
  watcher:cancel()
  lu.assertTrue(most <= 3, most)
end

function TestMap:test_the_first_failure_cancels_the_rest()
  local ok, err = pcall(eddy.offload_map, { 1, 2, 3, 4, 5 }, function(i)
    if i == 2 then error("two", 0) end
    while true do end
  end)
  lu.assertEquals({ ok, err }, { false, "two" })
  lu.assertEquals(eddy.stats().jobs, 0)
end

function TestMap:test_misuse()
  lu.assertErrorMsgContains("bad argument #1 to 'offload_map'", eddy.offload_map, 1, print)
  lu.assertErrorMsgContains("bad argument #2 to 'offload_map'", eddy.offload_map, {}, 1)
  lu.assertErrorMsgContains("bad argument #3 to 'offload_map'", eddy.offload_map, {}, print, 1)
  lu.assertErrorMsgContains("unknown option 'limt'", eddy.offload_map, {}, print, { limt = 1 })
  for _, limit in ipairs { 0, 1.5, "1" } do
    lu.assertErrorMsgContains("'limit' of offload_map must be a positive integer", eddy.offload_map, {}, print, { limit = limit })
  end
end

return {
  TestErrors = TestErrors, TestState = TestState, TestInit = TestInit, TestBadInit = TestBadInit,
  TestRefusedInit = TestRefusedInit, TestEndlessInit = TestEndlessInit, TestMemory = TestMemory,
  TestTinyMemory = TestTinyMemory, TestConfig = TestConfig, TestMap = TestMap,
}
