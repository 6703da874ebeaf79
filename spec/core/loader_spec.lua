-- SPDX-License-Identifier: MIT
-- eddy.require: modules that await while they load.
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n or 2 do eddy.sleep(0) end end

local TestRequire = { clock = "manual" }

local names   -- of the test's own modules

--- Make `name` a module whose loader is `fn(name, data)`.
local function module(name, fn)
  names[#names + 1] = name
  package.preload[name] = fn
end

function TestRequire:setUp() names = {} end

function TestRequire:tearDown()
  for _, name in ipairs(names) do package.preload[name], package.loaded[name] = nil, nil end
end

function TestRequire:test_awaits_while_loading()
  module("spec_a", function(name, data) eddy.sleep(1) return { name, data } end)
  local start = eddy.now()
  local value, data = eddy.require "spec_a"
  lu.assertEquals(value, { "spec_a", ":preload:" })
  lu.assertEquals(data, ":preload:")
  lu.assertAlmostEquals(eddy.now() - start, 1, 1e-6)
  lu.assertTrue(rawequal(require "spec_a", value))
  lu.assertEquals(table.pack(eddy.require "spec_a"), { value, n = 1 })
end

function TestRequire:test_a_file_that_awaits()
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write("local name, where = ... require('eddy').sleep(1) return { name = name, where = where }")
  file:close()
  local before = package.path
  package.path = path:gsub("[^/]*$", "?")
  local name = path:match("[^/]*$")
  names[1] = name
  local ok, value, data = pcall(eddy.require, name)
  package.path = before
  os.remove(path)
  lu.assertTrue(ok, value)
  lu.assertEquals(value, { name = name, where = path })
  lu.assertEquals(data, path)
end

function TestRequire:test_values_as_require_gives_them()
  module("spec_nil", function() eddy.sleep(1) end)
  lu.assertEquals(table.pack(eddy.require "spec_nil"), { true, ":preload:", n = 2 })
  module("spec_false", function() return false end)
  lu.assertEquals(eddy.require "spec_false", false)
  module("spec_own", function(name) package.loaded[name] = "own" end)
  lu.assertEquals(eddy.require "spec_own", "own")
  module("spec_two", function() return 1, 2 end)
  lu.assertEquals({ eddy.require "spec_two" }, { 1, ":preload:" })
end

function TestRequire:test_two_at_once_load_once()
  local loads = 0
  module("spec_once", function() loads = loads + 1 eddy.sleep(1) return { loads } end)
  local first = eddy.spawn(eddy.require, "spec_once")
  local second = eddy.spawn(eddy.require, "spec_once")
  local a, b = table.pack(first:await()), table.pack(second:await())
  lu.assertEquals(loads, 1)
  lu.assertTrue(rawequal(a[1], b[1]))
  lu.assertEquals({ a[2], b[2] }, { ":preload:", ":preload:" })
end

function TestRequire:test_a_failure_reaches_all_and_a_later_call_tries_again()
  local err, loads = {}, 0
  module("spec_fails", function()
    loads = loads + 1
    eddy.sleep(1)
    if loads == 1 then error(err) end
    return "loaded"
  end)
  local function try() return select(2, pcall(eddy.require, "spec_fails")) end
  local first, second = eddy.spawn(try), eddy.spawn(try)
  lu.assertTrue(rawequal(first:await(), err))
  lu.assertTrue(rawequal(second:await(), err))
  lu.assertEquals(loads, 1)
  lu.assertEquals(eddy.require "spec_fails", "loaded")
end

function TestRequire:test_not_found()
  local _, stock = pcall(require, "spec_missing")
  local ok, err = pcall(function() eddy.require "spec_missing" end)
  lu.assertFalse(ok)
  lu.assertStrMatches(err, ".-loader_spec%.lua:%d+: module 'spec_missing' not found:.*")
  lu.assertEquals(err:gsub("^.-: module", "module"), (stock:gsub("^.-: module", "module")))
end

function TestRequire:test_a_circle_of_one_task()
  module("spec_a", function() eddy.sleep(0) return eddy.require "spec_b" end)
  module("spec_b", function() eddy.sleep(0) local a = eddy.require "spec_a" return a end)
  local ok, err = pcall(eddy.require, "spec_a")
  lu.assertFalse(ok)
  lu.assertStrContains(err, "circular require: spec_a -> spec_b -> spec_a")
  lu.assertStrContains(err, "loader_spec.lua")
  module("spec_self", function() return eddy.require "spec_self" end)
  lu.assertErrorMsgContains("circular require: spec_self -> spec_self", eddy.require, "spec_self")
end

function TestRequire:test_a_circle_of_two_tasks()
  module("spec_a", function() eddy.sleep(1) return eddy.require "spec_b" end)
  module("spec_b", function() eddy.sleep(1) return eddy.require "spec_a" end)
  local first, second = eddy.spawn(pcall, eddy.require, "spec_a"), eddy.spawn(pcall, eddy.require, "spec_b")
  local _, ok_a, err_a = first:join()
  local _, ok_b, err_b = second:join()
  lu.assertEquals({ ok_a, ok_b }, { false, false })
  lu.assertStrContains(err_a, "circular require: spec_a -> spec_b -> spec_a")
  lu.assertTrue(rawequal(err_a, err_b))
end

function TestRequire:test_early_entry_breaks_a_circle_as_with_require()
  module("spec_a", function(name)
    local a = {}
    package.loaded[name] = a
    eddy.sleep(1)
    a.b = eddy.require "spec_b"
    return a
  end)
  module("spec_b", function() return { a = eddy.require "spec_a" } end)
  local a = eddy.require "spec_a"
  lu.assertTrue(rawequal(a.b.a, a))
end

function TestRequire:test_cancelling_who_waits_leaves_the_loading_alone()
  module("spec_a", function() eddy.sleep(2) return "a" end)
  local loading, waiting = eddy.spawn(eddy.require, "spec_a"), eddy.spawn(eddy.require, "spec_a")
  turns()
  waiting:cancel()
  lu.assertFalse((waiting:join()))
  lu.assertEquals(loading:await(), "a")
end

function TestRequire:test_cancelling_who_loads_lets_another_take_over()
  local loads = 0
  module("spec_a", function() loads = loads + 1 eddy.sleep(2) return loads end)
  local tasks = {}
  for i = 1, 3 do tasks[i] = eddy.spawn(eddy.require, "spec_a") end
  turns()
  tasks[1]:cancel()
  lu.assertEquals(tasks[2]:await(), 2)
  lu.assertEquals(tasks[3]:await(), 2)
  lu.assertEquals(tasks[1]:status(), "cancelled")
  lu.assertEquals(loads, 2)
end

function TestRequire:test_a_foreign_cancellation_is_a_failure_like_others()
  module("spec_a", function()
    local other = eddy.spawn(eddy.sleep, 100)
    other:cancel()
    other:await()
  end)
  local function try() return select(2, pcall(eddy.require, "spec_a")) end
  local first, second = eddy.spawn(try), eddy.spawn(try)
  local err = first:await()
  lu.assertTrue(eddy.is(err, "cancelled"))
  lu.assertTrue(rawequal(second:await(), err))
end

function TestRequire:test_misuse_and_where_waiting_is_impossible()
  lu.assertErrorMsgMatches(".-loader_spec%.lua:%d+: bad argument #1 to 'require'.*", function() eddy.require() end)
  local ok, err = pcall(table.sort, { 2, 1 }, function() eddy.require "string" end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot await inside 'sort'")
end

function TestRequire:test_outside_a_task()
  lu.assertErrorMsgMatches(".-loader_spec%.lua:%d+: cannot await outside a task.*",
    function() eddy.require "string" end)
end

function TestRequire:test_outside_a_killed_loader_leaves_nothing_behind()
  names = {}
  module("spec_a", function() eddy.event():wait() end)
  for _ = 1, 2 do
    local ok, err = pcall(eddy.run, function() eddy.require "spec_a" end)
    lu.assertFalse(ok)
    lu.assertTrue(eddy.is(err, "deadlock"))
  end
  package.preload.spec_a = function() return "now" end
  lu.assertEquals(eddy.run(eddy.require, "spec_a"), "now")
end

return { TestRequire = TestRequire }
