-- SPDX-License-Identifier: MIT
-- testing.run: results, errors, clocks, limits, and what is left behind by name.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"
local net = require "eddy.net"
local testing = require "eddy.testing"

local suite = {}

local function fails(fn, options)
  local ok, err = pcall(testing.run, fn, options)
  lu.assertFalse(ok)
  return err
end

local TestResults = {}
suite.TestResults = TestResults

function TestResults:test_outside_all_results()
  lu.assertEquals(table.pack(testing.run(function() return 1, nil, 3 end)), { 1, nil, 3, n = 3 })
end

function TestResults:test_outside_the_error_unchanged()
  local value = {}
  lu.assertIs(fails(function() error(value) end), value)
  lu.assertNil(fails(function() error() end))
end

function TestResults:test_outside_a_callable()
  lu.assertEquals(testing.run(setmetatable({}, { __call = function() return "called" end })), "called")
end

function TestResults:test_outside_misuse()
  local function message(...) return select(2, pcall(function(...) testing.run(...) end, ...)) end
  lu.assertStrMatches(message(1), ".*run_spec%.lua:%d+: bad argument #1 to 'run' %(function expected, got number%)")
  lu.assertStrContains(message(print, 1), "options: table expected")
  lu.assertStrMatches(message(print, { clok = "real" }), ".*run_spec%.lua:%d+: unknown option 'clok'")
  lu.assertStrContains(message(print, { timeout = "1" }), "option 'timeout': number expected")
  lu.assertStrContains(message(print, { timeout = 0 / 0 }), "NaN")
  lu.assertStrContains(message(print, { clock = "fast" }), "option 'clock'")
  lu.assertStrContains(message(print, { seed = 1.5 }), "integer")
end

function TestResults:test_inside_a_task()
  lu.assertErrorMsgContains("outside any task", testing.run, function() end)
end

local TestClock = {}
suite.TestClock = TestClock

function TestClock:test_outside_manual_by_default()
  local elapsed = testing.run(function()
    local from = eddy.now()
    eddy.sleep(3600)
    return eddy.now() - from
  end)
  lu.assertAlmostEquals(elapsed, 3600, 1)
end

function TestClock:test_outside_order_is_that_of_real_time()
  local order = testing.run(function()
    local log = {}
    eddy.group(function(group)
      for _, seconds in ipairs { 300, 100, 200 } do
        group:spawn(function() eddy.sleep(seconds) log[#log + 1] = seconds end)
      end
    end)
    return log
  end)
  lu.assertEquals(order, { 100, 200, 300 })
end

function TestClock:test_outside_real_when_asked()
  local from = eddy.now()
  testing.run(function() eddy.sleep(0.02) end, { clock = "real" })
  lu.assertTrue(eddy.now() - from >= 0.02)
end

function TestClock:test_outside_configuration_comes_back()
  eddy.config { clock = "manual", seed = 7 }
  testing.run(function() lu.assertNil(core.probe.config().seed or nil) end, { clock = "real" })
  pcall(testing.run, function() error "x" end, { seed = 3 })
  local config = core.probe.config()
  eddy.config { clock = false, seed = false }
  lu.assertEquals({ config.clock, config.seed }, { "manual", 7 })
end

function TestClock:test_outside_other_configuration_stays()
  local reported
  eddy.config { on_error = function(err) reported = err end }
  testing.run(function()
    eddy.background(function() error("nobody awaits this", 0) end)
    eddy.sleep(0)
    eddy.sleep(0)
  end)
  eddy.config { on_error = false }
  lu.assertEquals(reported, "nobody awaits this")
end

local TestLimit = {}
suite.TestLimit = TestLimit

local function is_late(fn)
  local err = fails(fn, { timeout = 0.05 })
  lu.assertTrue(eddy.is(err, "timeout"))
  lu.assertStrContains(tostring(err), "did not end within 0.05 s")
  return tostring(err)
end

function TestLimit:test_outside_a_busy_task()
  lu.assertStrContains(is_late(function() while true do eddy.sleep(0) end end), "main: ready")
end

function TestLimit:test_outside_a_task_that_catches_its_cancellation()
  eddy.config { on_error = function() end }
  is_late(function() while true do pcall(eddy.sleep, 0) end end)
  eddy.config { on_error = false }
end

function TestLimit:test_outside_behind_a_shield()
  is_late(function() eddy.shield(math.huge, eddy.sleep, math.huge) end)
end

function TestLimit:test_outside_a_background_task_that_does_not_end()
  is_late(function()
    eddy.background(eddy.shield, math.huge, eddy.sleep, math.huge)
    eddy.sleep(0)
  end)
end

function TestLimit:test_outside_waiting_for_the_network()
  local text = is_late(function()
    local listener <close> = assert(net.listen { port = 0 })
    listener:accept()
  end)
  lu.assertStrMatches(text, ".*main: waiting in accept of 127%.0%.0%.1:%d+.*")
end

function TestLimit:test_outside_nothing_to_wait_for_is_a_deadlock_at_once()
  lu.assertTrue(eddy.is(fails(function() eddy.event():wait() end), "deadlock"))
end

local TestLeaks = {}
suite.TestLeaks = TestLeaks

local function left(fn, options)
  local err = fails(fn, options)
  lu.assertStrContains(err, "left behind:")
  return err
end

function TestLeaks:test_outside_a_background_task()
  local err = left(function()
    eddy.background(function() eddy.event():wait() end)
    eddy.sleep(1)
  end)
  lu.assertStrMatches(err, ".*task %d+: waiting in event:wait %(spawned at .*run_spec.lua:%d+, now at .*run_spec.lua:%d+%).*")
end

function TestLeaks:test_outside_a_named_task_and_its_children()
  local err = left(function()
    eddy.background(function()
      eddy.spawn_with({ name = "inner one" }, eddy.sleep, 10)
      eddy.sleep(10)
    end)
    eddy.sleep(1)
  end)
  lu.assertStrContains(err, "task inner one: waiting in sleep (spawned at")
  local _, lines = err:gsub("\n", "")
  lu.assertEquals(lines, 2)
end

function TestLeaks:test_outside_a_background_task_that_has_ended_is_none()
  testing.run(function()
    eddy.background(eddy.sleep, 1)
    eddy.sleep(2)
  end)
end

function TestLeaks:test_outside_listener_and_streams()
  local port
  local err = left(function()
    local listener = assert(net.listen { port = 0 })
    port = listener.port
    assert(net.connect { host = "127.0.0.1", port = port })
    listener:accept():close()
  end)
  lu.assertStrContains(err, ("listener 127.0.0.1:%d"):format(port))
  lu.assertStrContains(err, ("stream 127.0.0.1:%d"):format(port))
  local _, lines = err:gsub("\n", "")
  lu.assertEquals(lines, 2)
end

function TestLeaks:test_outside_a_permit()
  local err = left(function()
    local semaphore = eddy.semaphore(3)
    local kept = semaphore:acquire()
    local _ <close> = semaphore:acquire()
    semaphore:acquire():release()
    return kept
  end)
  lu.assertStrMatches(err, "left behind:\n  permit of a semaphore acquired at .*run_spec%.lua:%d+")
end

function TestLeaks:test_outside_each_run_by_itself()
  pcall(testing.run, function() eddy.semaphore(1):acquire() end)
  testing.run(function() end)
end

function TestLeaks:test_outside_when_nobody_minds()
  testing.run(function() eddy.semaphore(1):acquire() end, { leaks = false })
end

function TestLeaks:test_outside_an_error_comes_first()
  lu.assertEquals(fails(function()
    eddy.semaphore(1):acquire()
    error("its own", 0)
  end), "its own")
end

local TestSuite = {}
suite.TestSuite = TestSuite

-- What luaunit does with a class, without its report.
local function drive(class)
  local results = {}
  for name, method in pairs(class) do
    if name:match "^test" then results[name] = { pcall(method, class) } end
  end
  return results
end

function TestSuite:test_outside_methods_wait()
  local log = {}
  local results = drive(testing.suite {
    setUp = function(this) eddy.sleep(1) this.value = "set up" end,
    test_one = function(this) eddy.sleep(1) log[#log + 1] = this.value end,
    tearDown = function(this) eddy.sleep(1) log[#log + 1] = "torn down" this.value = nil end,
  })
  lu.assertEquals(results, { test_one = { true } })
  lu.assertEquals(log, { "set up", "torn down" })
end

function TestSuite:test_outside_self_is_new_and_inherits()
  local class = { shared = "shared" }
  function class.test_a(this) lu.assertNil(this.mark) this.mark = true lu.assertEquals(this.shared, "shared") end
  class.test_b = class.test_a
  lu.assertEquals(drive(testing.suite(class)), { test_a = { true }, test_b = { true } })
end

function TestSuite:test_outside_tear_down_after_a_failure()
  local log = {}
  local results = drive(testing.suite {
    test_bad = function() error("bad", 0) end,
    tearDown = function() eddy.sleep(1) log[1] = "torn down" end,
  })
  lu.assertEquals(results.test_bad, { false, "bad" })
  lu.assertEquals(log, { "torn down" })
end

function TestSuite:test_outside_a_leak_fails()
  local results = drive(testing.suite { test_leak = function() eddy.semaphore(1):acquire() end })
  lu.assertStrContains(results.test_leak[2], "permit of a semaphore")
end

function TestSuite:test_outside_options()
  local results = drive(testing.suite({ test_late = function() while true do eddy.sleep(0) end end }, { timeout = 0.02 }))
  lu.assertTrue(eddy.is(results.test_late[2], "timeout"))
  lu.assertErrorMsgContains("unknown option", testing.suite, {}, { time = 1 })
  lu.assertErrorMsgContains("table expected", testing.suite, 1)
end

function TestSuite:test_outside_only_what_luaunit_would_run()
  local class = testing.suite { helper = function() end, Test_big = function() end, setupClass = print, testValue = 1 }
  lu.assertEquals({ type(class.helper), type(class.Test_big), class.setupClass, class.testValue },
    { "nil", "function", print, nil })
end

local TestEventually = {}
suite.TestEventually = TestEventually

function TestEventually:test_returns_what_is_true()
  local n = 0
  lu.assertEquals(testing.eventually(function() n = n + 1 return n > 3 and "value" end), "value")
end

function TestEventually:test_gives_up()
  local from = eddy.now()
  lu.assertErrorMsgMatches(".*run_spec.lua:%d+: not within 2 s", function()
    testing.eventually(function() return false end, 2)
  end)
  lu.assertTrue(eddy.now() - from >= 2)
end
TestEventually.clock = "manual"

return suite
