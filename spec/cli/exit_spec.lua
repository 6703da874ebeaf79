-- SPDX-License-Identifier: MIT
-- How the program ends: exit codes, messages of errors, signals.
local lu = ...
local process = require "spec.support.process"

local eddy = process.eddy

local function statement(text, options)
  return eddy({ "-e", text }, options)
end

local TestCodes = {}

function TestCodes.test_outside_success()
  local result = statement "return 7"
  lu.assertEquals(result.code, 0)
  lu.assertEquals(result.stdout .. result.stderr, "")
end

function TestCodes.test_outside_os_exit()
  lu.assertEquals(statement("os.exit(3)").code, 3)
  lu.assertEquals(statement("os.exit(true)").code, 0)
  lu.assertEquals(statement("os.exit(false)").code, 1)
  lu.assertEquals(statement("os.exit(4, true)").code, 4)
end

function TestCodes.test_outside_os_exit_with_tasks_around()
  local result = statement [[
    local eddy = require "eddy"
    for _ = 1, 10 do
      eddy.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() io.write(".") end })
        eddy.sleep(3600)
      end)
    end
    eddy.sleep(0)
    os.exit(5, true)]]
  lu.assertEquals(result.code, 5)
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.stdout, "..........")
end

function TestCodes.test_outside_output_is_flushed()
  lu.assertEquals(statement("io.write 'no line end' os.exit(0)").stdout, "no line end")
  lu.assertEquals(statement("io.write 'no line end'").stdout, "no line end")
end

function TestCodes.test_outside_missing_script()
  local result = eddy { "/no/such/script.lua", "x" }
  lu.assertEquals(result.code, 1)
  lu.assertStrMatches(result.stderr, "eddy: cannot open /no/such/script.lua[^\n]*\n")
end

function TestCodes.test_outside_broken_script()
  local result = statement "x ="
  lu.assertEquals(result.code, 1)
  lu.assertStrMatches(result.stderr, "eddy: %(command line%):1: unexpected symbol near <eof>\n")
end

local TestErrors = {}

function TestErrors.test_outside_string_has_a_traceback()
  local result = statement "local function inner() error 'broken' end\ninner()"
  lu.assertEquals(result.code, 1)
  lu.assertEquals(result.stdout, "")
  lu.assertStrMatches(result.stderr, "eddy: %(command line%):1: broken\nstack traceback:\n.*")
  lu.assertStrContains(result.stderr, "(command line):2:")
end

function TestErrors.test_outside_objects()
  lu.assertStrMatches(statement("error {}").stderr, "eddy: %(error object is a table value%).*")
  lu.assertStrMatches(statement("error(nil)").stderr, "eddy: %(error object is a nil value%).*")
  lu.assertStrMatches(statement("error(42)").stderr, "eddy: 42\n.*")
  lu.assertStrMatches(statement("error(setmetatable({}, {__tostring = function() return 'mine' end}))").stderr, "eddy: mine\n.*")
end

function TestErrors.test_outside_object_that_cannot_say_what_it_is()
  local result = statement "error(setmetatable({}, {__tostring = function() error 'no' end}))"
  lu.assertEquals(result.code, 1)
  lu.assertStrContains(result.stderr, "(error object is a table value)")
end

function TestErrors.test_outside_error_of_a_child()
  local result = statement [[
    local eddy = require "eddy"
    eddy.spawn(function() error "the child fails" end)
    eddy.sleep(3600)]]
  lu.assertEquals(result.code, 1)
  lu.assertStrContains(result.stderr, "eddy: (command line):2: the child fails\n")
end

function TestErrors.test_outside_eddy_error()
  local result = statement [[
    local eddy = require "eddy"
    eddy.timeout(0.01, eddy.sleep, 3600)]]
  lu.assertEquals(result.code, 1)
  lu.assertStrMatches(result.stderr, "eddy: [^\n]+\n.*")
end

function TestErrors.test_outside_deadlock()
  local result = statement "require('eddy').event():wait()"
  lu.assertEquals(result.code, 1)
  lu.assertStrContains(result.stderr, "event")
end

function TestErrors.test_outside_run_inside_the_program()
  local result = statement "require('eddy').run(print)"
  lu.assertEquals(result.code, 1)
  lu.assertStrContains(result.stderr, "already running")
end

local TestSignals = {}

-- A popen'ed shell signals its parent, the program: no race with its start.
local SIGNAL = [[
  local eddy = require "eddy"
  local function signal(name) io.popen("kill -" .. name .. " $PPID"):close() end
]]

function TestSignals.test_outside_interrupt()
  local result = statement(SIGNAL .. [[
    local _ <close> = setmetatable({}, { __close = function() print "cleaned up" end })
    signal "INT"
    eddy.sleep(3600)]])
  lu.assertEquals(result.code, 130)
  lu.assertEquals(result.stdout, "cleaned up\n")
  lu.assertEquals(result.stderr, "")
end

function TestSignals.test_outside_termination()
  local result = statement(SIGNAL .. "signal 'TERM' eddy.sleep(3600)")
  lu.assertEquals(result.code, 143)
  lu.assertEquals(result.stderr, "")
end

function TestSignals.test_outside_children_clean_up()
  local result = statement(SIGNAL .. [[
    eddy.spawn(function()
      local _ <close> = setmetatable({}, { __close = function()
        eddy.shield(1, eddy.sleep, 0.02)
        print "the child has cleaned up"
      end })
      eddy.sleep(3600)
    end)
    eddy.sleep(0)
    signal "INT"
    eddy.sleep(3600)]])
  lu.assertEquals(result.code, 130)
  lu.assertEquals(result.stdout, "the child has cleaned up\n")
end

function TestSignals.test_outside_handled()
  -- A script that catches the cancellation and ends in peace has succeeded.
  local result = statement(SIGNAL .. "signal 'INT' pcall(eddy.sleep, 3600) print 'ended in peace'")
  lu.assertEquals(result.stdout, "ended in peace\n")
  lu.assertEquals(result.code, 0)
end

function TestSignals.test_outside_failing_clean_up()
  local result = statement(SIGNAL .. "signal 'INT' pcall(eddy.sleep, 3600) error 'while cleaning up'")
  lu.assertEquals(result.code, 1)
  lu.assertStrContains(result.stderr, "while cleaning up")
end

function TestSignals.test_outside_second_one_kills()
  local result = statement(SIGNAL .. [[
    signal "INT"
    pcall(eddy.sleep, 3600)
    print "first"
    io.stdout:flush()
    signal "INT"
    while true do end]], { timeout = 10 })
  lu.assertFalse(result.timed_out)
  lu.assertEquals(result.code, 130)
  lu.assertEquals(result.stdout, "first\n")
end

function TestSignals.test_outside_second_one_kills_what_never_waits()
  local result = statement(SIGNAL .. "signal 'INT' signal 'INT' while true do end", { timeout = 5 })
  lu.assertFalse(result.timed_out)
  lu.assertEquals(result.code, 130)
end

function TestSignals.test_outside_second_one_may_be_another_one()
  local result = statement(SIGNAL .. "signal 'INT' pcall(eddy.sleep, 3600) signal 'TERM' while true do end", { timeout = 5 })
  lu.assertFalse(result.timed_out)
  lu.assertEquals(result.code, 143)
end

function TestSignals.test_outside_nothing_more_is_started()
  local result = eddy { "-e", SIGNAL .. "signal 'INT' eddy.sleep(3600)", "-e", "print 'next'" }
  lu.assertEquals(result.code, 130)
  lu.assertEquals(result.stdout, "")
end

return { TestCodes = TestCodes, TestErrors = TestErrors, TestSignals = TestSignals }
