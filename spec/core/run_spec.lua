-- SPDX-License-Identifier: MIT
-- eddy.run as a whole: results, errors, deadlock, background, config, stats, names that come later.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"
local process = require "spec.support.process"

local TestRun = {}

function TestRun:test_outside_results_and_errors()
  lu.assertEquals(table.pack(eddy.run(function(...) return ... end, 1, nil, 3)), { 1, nil, 3, n = 3 })
  local value = {}
  local ok, err = pcall(eddy.run, function() eddy.sleep(0) error(value) end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(err, value))
  lu.assertErrorMsgContains("function expected", eddy.run, 5)
end

function TestRun:test_outside_ends_with_all_children()
  local ended = 0
  eddy.run(function()
    for _ = 1, 3 do eddy.spawn(function() eddy.sleep(0.001) ended = ended + 1 end) end
  end)
  lu.assertEquals(ended, 3)
end

function TestRun:test_a_run_inside_a_run()
  lu.assertErrorMsgContains("already running", eddy.run, print)
end

function TestRun:test_outside_s008_s182_deadlock()
  local cleaned = false
  local ok, err = pcall(eddy.run, function()
    local event = eddy.event()
    eddy.spawn_with({ name = "bob" }, function()
      local _ <close> = setmetatable({}, { __close = function() cleaned = true end })
      event:wait()
    end)
    event:wait()
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"))
  lu.assertStrContains(err.message, "bob")
  lu.assertStrContains(err.message, "event:wait")
  lu.assertTrue(cleaned)
  lu.assertEquals(eddy.stats().tasks, 0)
end

function TestRun:test_outside_deadlock_that_waits_again()
  eddy.config { on_error = function() end }
  local ok, err = pcall(eddy.run, function()
    local event = eddy.event()
    while true do pcall(event.wait, event) end
  end)
  eddy.config { on_error = false }
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"))
end

local TestBackground = {}

function TestBackground:test_outside_reported_once_and_cancelled_at_the_end()
  local reports, closed = {}, false
  eddy.config { on_error = function(err, task) reports[#reports + 1] = { err, task:status() } end }
  eddy.run(function()
    eddy.background(function() error("bg", 0) end)
    eddy.background(function()
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      eddy.sleep(1000)
    end)
    eddy.sleep(0) eddy.sleep(0)
  end)
  eddy.config { on_error = false }
  lu.assertEquals(reports, { { "bg", "failed" } })
  lu.assertTrue(closed)
end

function TestBackground:test_awaited_is_not_reported()
  local task = eddy.background(function() error("mine", 0) end)
  lu.assertEquals({ task:join() }, { false, "mine" })
end
TestBackground.config = { on_error = function() error "must not be called" end }

local TestConfig = {}

function TestConfig:test_outside_misuse()
  lu.assertErrorMsgContains("unknown config option 'speed'", eddy.config, { speed = 1 })
  lu.assertErrorMsgContains("must be a function", eddy.config, { on_error = 1 })
  lu.assertErrorMsgContains("'slice' must be a positive number of seconds", eddy.config, { slice = 0 })
  lu.assertErrorMsgContains("'warn_blocking' must be a positive", eddy.config, { warn_blocking = "1" })
  lu.assertErrorMsgContains("clock", eddy.config, { clock = "fast" })
  eddy.config { clock = false }
end

function TestConfig:test_not_while_running()
  lu.assertErrorMsgContains("while eddy.run is on", eddy.config, {})
end

local TestErrors = {}

function TestErrors:test_error_objects()
  local err = eddy.error { kind = "io", op = "read", target = "x", message = "broken" }
  lu.assertEquals(tostring(err), "read x: broken (io)")
  lu.assertTrue(eddy.is(err, "io"))
  lu.assertFalse(eddy.is(err, "timeout"))
  lu.assertFalse(eddy.is("io", "io"))
  lu.assertFalse(eddy.is(nil, "io"))
  lu.assertEquals(getmetatable(err), eddy.Error)
end

function TestErrors:test_s080_failures_of_one_turn()
  local ok, err = pcall(eddy.group, function(group)
    for i = 1, 3 do group:spawn(function() eddy.sleep(0) error("e" .. i, 0) end) end
    eddy.sleep(1000)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "group"))
  lu.assertEquals(err.errors, { "e1", "e2", "e3" })
  lu.assertStrContains(tostring(err), "e2")
end

local TestEnds = {}

function TestEnds:test_outside_s182_deadlock_behind_a_shield()
  local result = process.eddy({ "-e", [[
    local eddy = require "eddy"
    local event = eddy.event()
    local _ <close> = setmetatable({}, { __close = function() print "closed" end })
    eddy.shield(math.huge, event.wait, event)]] }, { timeout = 10 })
  lu.assertFalse(result.timed_out)
  lu.assertStrContains(result.stderr, "event:wait")
  lu.assertEquals(result.stdout, "closed\n")
end

function TestEnds:test_outside_two_tasks_that_gather_each_other()
  local result = process.eddy({ "-e", [[
    local eddy = require "eddy"
    local a, b
    a = eddy.spawn(function() eddy.settle { b } end)
    b = eddy.spawn(function() eddy.settle { a } end)]] }, { timeout = 10 })
  lu.assertFalse(result.timed_out)
  lu.assertStrContains(result.stderr, "settle")
end

function TestEnds:test_outside_background_begun_after_the_roots_end()
  eddy.config { clock = "manual" }
  local ticks = 0
  eddy.run(function()
    eddy.background(function()
      local _ <close> = setmetatable({}, { __close = function()
        eddy.background(function() while ticks < 100 do ticks = ticks + 1 eddy.sleep(1) end end)
      end })
      eddy.sleep(1000)
    end)
    eddy.sleep(0)
  end)
  eddy.config { clock = false }
  lu.assertTrue(ticks <= 1, ticks)
end

function TestEnds:test_outside_a_refused_config_changes_nothing()
  local before = core.probe.config()
  for _, bad in ipairs { { clock = "fast" }, { seed = "x" }, { slice = -1 }, { speed = 1 } } do
    local config = { clock = "manual", seed = 7, kill_grace = 3, slice = 0.5 }
    for name, value in pairs(bad) do config[name] = value end
    lu.assertFalse((pcall(eddy.config, config)))
    lu.assertEquals(core.probe.config(), before)
  end
end

function TestEnds:test_outside_exit_from_a_run_inside_a_coroutine()
  local result = process.run(process.quote(process.program) .. " -e " .. process.quote([[
    local eddy = require "eddy"
    eddy.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() print "closed" end })
      eddy.semaphore(0):acquire()
    end)
    eddy.sleep(0)
    coroutine.wrap(function() os.exit(5, true) end)()]]), { timeout = 10 })
  lu.assertEquals({ result.code, result.stdout, result.stderr }, { 5, "closed\n", "" })
end

return {
  TestRun = TestRun, TestBackground = TestBackground, TestConfig = TestConfig,
  TestErrors = TestErrors, TestEnds = TestEnds
}
