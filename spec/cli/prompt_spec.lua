-- SPDX-License-Identifier: MIT
-- The prompt: each line a root task. `-i` reads it from a pipe as well.
local lu = ...
local process = require "spec.support.process"

--- What the prompt answers to these lines, without version and prompts.
local function converse(input, arguments)
  arguments = arguments or {}
  table.insert(arguments, 1, "-i")
  local result = process.eddy(arguments, { stdin = input, env = { LUA_INIT = "_PROMPT = '' _PROMPT2 = ''" } })
  return (result.stdout:gsub("^eddy [^\n]*\n", "", 1)), result
end

local TestPrompt = {}

function TestPrompt.test_outside_values_and_statements()
  lu.assertEquals(converse("1 + 1\nx = 5\nx, nil\n=x\n"), "2\n5\tnil\n5\n\n")
end

function TestPrompt.test_outside_more_lines()
  lu.assertEquals(converse("for i = 1, 2 do\nprint(i)\nend\n"), "1\n2\n\n")
end

function TestPrompt.test_outside_lines_wait()
  lu.assertEquals(converse("eddy = require 'eddy'\neddy.sleep(0.01)\neddy.gather(function() eddy.sleep(0) return 'a' end)\n"), "a\n\n")
end

function TestPrompt.test_outside_errors_do_not_end_it()
  local output, result = converse("error 'oops'\nx =\n) \nprint 'still here'\n")
  lu.assertEquals(output, "still here\n\n")
  lu.assertStrContains(result.stderr, "stdin:1: oops\nstack traceback:")
  lu.assertEquals(result.code, 0)
end

function TestPrompt.test_outside_interrupted_line()
  local output, result = converse("io.popen('kill -INT $PPID'):close() require('eddy').sleep(3600)\nprint 'still here'\n")
  lu.assertStrContains(output, "still here\n")
  lu.assertStrContains(result.stderr, "interrupted\n")
  lu.assertEquals(result.code, 0)
end

function TestPrompt.test_outside_terminated_line()
  local output, result = converse("io.popen('kill -TERM $PPID'):close() require('eddy').sleep(3600)\nprint 'no'\n")
  lu.assertEquals(output, "")
  lu.assertEquals(result.code, 143)
end

function TestPrompt.test_outside_behind_a_statement()
  lu.assertEquals(converse("x\n", { "-e", "x = 'set before'" }), "set before\n\n")
end

function TestPrompt.test_outside_unfinished_at_the_end()
  local _, result = converse("for i = 1, 2 do\n")
  lu.assertStrContains(result.stderr, "<eof>")
  lu.assertEquals(result.code, 0)
end

function TestPrompt.test_outside_on_a_terminal()
  if not process.run("script -qec true /dev/null").ok then lu.skip("no `script` to make a terminal") end
  local command = ("script -qec %s /dev/null"):format(process.quote(process.quote(process.program)))
  local result = process.run(command, { stdin = "6 * 7\n\4", timeout = 10 })
  lu.assertStrContains(result.stdout, "eddy ")
  lu.assertStrContains(result.stdout, "> ")
  lu.assertStrContains(result.stdout, "42")
end

return { TestPrompt = TestPrompt }
