-- SPDX-License-Identifier: MIT
-- The prompt on a terminal: the loop runs while the user types, control keys, interrupts.
local lu = ...
local process = require "spec.support.process"

local TestTerminal = {}

local has_python = process.run("python3 -c 'import pty, os; os.waitstatus_to_exitcode(0)'").ok

--- The transcript of a session on a terminal, and the exit code. It begins at the prompt.
local function talk(steps, arguments)
  if not has_python then lu.skip("no python3 to make a terminal") end
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write("wait > \n", table.concat(steps, "\n"), "\n")
  file:flush()
  local program = process.run("command -v " .. process.quote(process.program)).stdout:gsub("\n", "")
  local words = { "python3 spec/support/terminal.py", process.quote(path), process.quote(program) }
  for _, word in ipairs(arguments or { "-i" }) do words[#words + 1] = process.quote(word) end
  local result = process.run(table.concat(words, " "), { timeout = 30, env = { TERM = "dumb" } })
  os.remove(path)
  lu.assertNotStrContains(result.stdout, "never came")
  lu.assertEquals(result.stderr, "")
  return result.stdout, tonumber(result.stdout:match("\nexit code (%d+)\n$"))
end

--- The same, where `eddy` is there; it has to end well.
local function talk_with_eddy(steps)
  local text, code = talk { "send eddy = require 'eddy'", "wait > ", table.unpack(steps) }
  lu.assertEquals(code, 0)
  return text
end

function TestTerminal.test_outside_values_and_the_end()
  local text, code = talk { "send 6 * 7", "wait 42", "wait > ", "key D" }
  lu.assertStrContains(text, "42\n> ")
  lu.assertEquals(code, 0)
end

function TestTerminal.test_outside_without_options()
  local text, code = talk({ "send =_VERSION", "wait Lua 5", "wait > ", "key D" }, {})
  lu.assertStrMatches(text, "eddy [^\n]+\n> =_VERSION\nLua 5.*")
  lu.assertEquals(code, 0)
end

function TestTerminal.test_outside_timers_fire_while_the_user_types()
  -- Nothing is sent between the prompt and the third tick: only the loop can have printed it.
  talk_with_eddy {
    "send t = eddy.background(function() for n in eddy.every(0.02) do print('tick ' .. n) if n > 2 then break end end end)",
    "wait > ", "wait tick 3", "send t:status()", "wait done", "wait > ", "key D" }
end

function TestTerminal.test_outside_children_go_on()
  talk_with_eddy {
    "send eddy.spawn(function() eddy.sleep(0.05) print('from ' .. 'before') end) return 'returned'",
    "wait returned", "wait > ", "wait from before", "send 1 + 1", "wait 2", "key D" }
end

function TestTerminal.test_outside_a_failing_child_is_told()
  talk_with_eddy {
    "send eddy.spawn(function() eddy.sleep(0.02) error('it ' .. 'broke') end) return 'returned'",
    "wait returned", "wait it broke", "send 'still ' .. 'here'", "wait still here", "key D" }
end

function TestTerminal.test_outside_more_lines()
  local text = talk { "send for i = 1, 2 do", "wait >> ", "send print('number ' .. i)", "wait >> ", "send end",
    "wait number 2", "wait > ", "key D" }
  lu.assertStrContains(text, "number 1\nnumber 2\n> ")
end

function TestTerminal.test_outside_interrupt_of_a_waiting_line()
  local text, code = talk { "send print('be' .. 'gin') require('eddy').sleep(3600)", "wait begin", "key C",
    "wait interrupted", "wait > ", "send 'still ' .. 'here'", "wait still here", "key D" }
  lu.assertStrContains(text, "interrupted\n> ")
  lu.assertEquals(code, 0)
end

function TestTerminal.test_outside_interrupt_of_a_line_that_never_waits()
  local _, code = talk { "send print('be' .. 'gin') while true do end", "wait begin", "key C", "wait interrupted",
    "wait > ", "send 'still ' .. 'here'", "wait still here", "key D" }
  lu.assertEquals(code, 0)
end

function TestTerminal.test_outside_interrupt_of_what_is_printed()
  local _, code = talk { "send t = setmetatable({}, { __tostring = function() print('be' .. 'gin') while true do end end })",
    "wait > ", "send t", "wait begin", "key C", "wait interrupted", "wait > ", "send error(t)", "wait begin", "key C",
    "wait (error object is a table value)", "wait > ",
    "send print = function() io.write('be' .. 'gin', '\\n') require('eddy').sleep(3600) end", "wait > ",
    "send t", "wait begin", "key C", "wait interrupted", "key D" }
  lu.assertEquals(code, 0)
end

function TestTerminal.test_outside_interrupt_spares_earlier_lines()
  talk_with_eddy {
    "send t = eddy.background(eddy.sleep, 3600)", "wait > ", "send print('be' .. 'gin') eddy.sleep(3600)", "wait begin", "key C",
    "wait interrupted", "send t:status()", "wait waiting", "key D" }
end

function TestTerminal.test_outside_interrupt_at_the_prompt_drops_what_was_typed()
  local _, code = talk { "send for i = 1, 2 do", "wait >> ", "key C", "wait > ", "send 'fresh ' .. 'line'",
    "wait fresh line", "wait > ", "key C", "wait > ", "send 'and ' .. 'again'", "wait and again", "key D" }
  lu.assertEquals(code, 0)
end

function TestTerminal.test_outside_second_interrupt_kills()
  local _, code = talk {
    "send pcall(function() print('be' .. 'gin') require('eddy').sleep(3600) end) print('on ' .. 'and on') while true do end",
    "wait begin", "key C", "wait on and on", "key C" }
  lu.assertEquals(code, 130)
end

function TestTerminal.test_outside_second_interrupt_kills_what_cannot_be_hooked()
  local _, code = talk {
    "send while true do pcall(function() print('be' .. 'gin') while true do end end) print('on ' .. 'and on') end",
    "wait begin", "key C", "wait on and on", "key C" }
  lu.assertEquals(code, 130)
end

function TestTerminal.test_outside_termination()
  local _, code = talk { "signal TERM" }
  lu.assertEquals(code, 143)
end

function TestTerminal.test_outside_the_end_runs_clean_up()
  local text = talk_with_eddy {
    "send eddy.spawn(function() local _ <close> = eddy.defer(function() print('cleaned ' .. 'up') end) eddy.sleep(3600) end)",
    "wait > ", "key D", "wait cleaned up" }
  lu.assertStrContains(text, "cleaned up")
end

function TestTerminal.test_outside_reading_inside_a_line()
  local _, code = talk { "send 'got ' .. io.read()", "send a line", "wait got a line", "wait > ", "key D" }
  lu.assertEquals(code, 0)
end

function TestTerminal.test_outside_script_first()
  local path = os.tmpname()
  local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
  local file <close> = assert(io.open(path, "w"))
  file:write "local eddy = require 'eddy' eddy.spawn(function() eddy.sleep(0.02) print('the child ' .. 'goes on') end) x = 'by the script'"
  file:flush()
  local _, code = talk({ "send x", "wait by the script", "wait the child goes on", "key D" }, { "-i", path })
  lu.assertEquals(code, 0)
end

return { TestTerminal = TestTerminal }
