-- SPDX-License-Identifier: MIT
-- The command line of the program: lua.c's conventions, and what is different.
local lu = ...
local process = require "spec.support.process"

local eddy = process.eddy

--- A file with this text for the time of a test.
local function script(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  return setmetatable({ path = path }, { __close = function() os.remove(path) end })
end

local function prints(wanted, arguments, options)
  local result = eddy(arguments, options)
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.stdout, wanted)
  lu.assertEquals(result.code, 0)
end

local TestStatements = {}

function TestStatements.test_outside_statement()
  prints("42\n", { "-e", "print(6 * 7)" })
  prints("42\n", { "-eprint(6 * 7)" })
end

function TestStatements.test_outside_in_order()
  prints("1\n2\n3\n", { "-e", "x = 1 print(x)", "-l", "string", "-e", "print(x + 1)", "-e", "print(x + 2)" })
end

function TestStatements.test_outside_waits()
  prints("true\n", { "-e", "local eddy = require 'eddy' local t = eddy.now() eddy.sleep(0.02) print(eddy.now() - t >= 0.02)" })
end

function TestStatements.test_outside_children_end_before_the_next()
  prints("child\nnext\n", { "-e", "local e = require 'eddy' e.spawn(function() e.sleep(0.01) print('child') end)", "-e", "print('next')" })
end

function TestStatements.test_outside_a_failing_one_is_the_last()
  local result = eddy { "-e", "print(1)", "-e", "error('no', 0)", "-e", "print(2)" }
  lu.assertEquals(result.stdout, "1\n")
  lu.assertEquals(result.code, 1)
end

function TestStatements.test_outside_library_into_global()
  prints("function\n", { "-l", "eddy", "-e", "print(type(eddy.run))" })
  prints("function\n", { "-lasync=eddy", "-e", "print(type(async.run))" })
end

function TestStatements.test_outside_library_may_configure()
  local module <close> = script "require('eddy').config { on_error = print } return {}"
  local folder, name = module.path:match("^(.*)/([^/]*)$")
  prints("ok\n", { "-l", "m=" .. name, "-e", "print 'ok'" }, { env = { LUA_PATH = folder .. "/?;;" } })
end

function TestStatements.test_outside_missing_library()
  local result = eddy { "-l", "there.is.none" }
  lu.assertEquals(result.code, 1)
  lu.assertStrContains(result.stderr, "eddy: module 'there.is.none' not found")
  lu.assertStrContains(result.stderr, "stack traceback:")
end

function TestStatements.test_outside_warnings()
  lu.assertEquals(eddy({ "-e", "warn('look')" }).stderr, "")
  lu.assertEquals(eddy({ "-W", "-e", "warn('look')" }).stderr, "Lua warning: look\n")
end

local TestInformation = {}

function TestInformation.test_outside_version()
  for _, option in ipairs { "-v", "--version" } do
    local result = eddy { option }
    lu.assertStrMatches(result.stdout, "eddy %d+%.%d+[^ ]* %(Lua 5%.%d[%d.]*, libuv %d+%.%d+%.%d+%)\n")
    lu.assertEquals(result.code, 0)
  end
end

function TestInformation.test_outside_version_and_script()
  local file <close> = script "print 'ran'"
  lu.assertStrMatches(eddy({ "-v", file.path }).stdout, "eddy [^\n]*\nran\n")
end

function TestInformation.test_outside_help()
  local result = eddy { "--help" }
  lu.assertStrContains(result.stdout, "usage: eddy [options] [script [args]]")
  lu.assertEquals(result.code, 0)
end

function TestInformation.test_outside_unknown_options()
  for _, option in ipairs { "-x", "-vv", "-Ex", "-ix", "--verbose", "-W1" } do
    local result = eddy { option }
    lu.assertEquals(result.code, 1, option)
    lu.assertStrContains(result.stderr, ("eddy: unrecognized option '%s'\nusage: eddy"):format(option))
    lu.assertEquals(result.stdout, "")
  end
end

function TestInformation.test_outside_missing_arguments()
  for _, words in ipairs { { "-e" }, { "-l" }, { "-e", "-v" }, { "-l", "-" } } do
    local result = eddy(words)
    lu.assertEquals(result.code, 1)
    lu.assertStrContains(result.stderr, ("eddy: '%s' needs argument\nusage: eddy"):format(words[1]))
  end
end

local TestEnvironment = {}

function TestEnvironment.test_outside_init()
  prints("init\nscript\n", { "-e", "print 'script'" }, { env = { LUA_INIT = "print 'init'", LUA_INIT_5_4 = false, LUA_INIT_5_5 = false } })
end

function TestEnvironment.test_outside_versioned_init_wins()
  local version = _VERSION:match("%d.%d"):gsub("%.", "_")
  prints("new\n", { "-e", "" }, { env = { LUA_INIT = "print 'old'", ["LUA_INIT_" .. version] = "print 'new'" } })
end

function TestEnvironment.test_outside_init_file()
  local file <close> = script "print('from', ...)"
  prints("from\n", { "-e", "" }, { env = { LUA_INIT = "@" .. file.path } })
end

function TestEnvironment.test_outside_failing_init()
  local result = eddy({ "-e", "print 'no'" }, { env = { LUA_INIT = "error 'bad start'" } })
  lu.assertEquals(result.code, 1)
  lu.assertEquals(result.stdout, "")
  lu.assertStrContains(result.stderr, "eddy: LUA_INIT:1: bad start")
end

function TestEnvironment.test_outside_broken_init()
  local result = eddy({ "-e", "print 'no'" }, { env = { LUA_INIT = "x =" } })
  lu.assertEquals(result.code, 1)
  lu.assertStrContains(result.stderr, "eddy: LUA_INIT:1:")
end

function TestEnvironment.test_outside_ignored()
  local env = { LUA_INIT = "print 'init'", LUA_PATH = "/elsewhere/?.lua", LUA_CPATH = "/elsewhere/?.so" }
  prints("nil\tnil\n", { "-E", "-e", "print(package.path:find('elsewhere'), package.cpath:find('elsewhere'))" }, { env = env })
end

local TestArguments = {}

local SHOW = [[
print(select('#', ...), ...)
for i = -5, 5 do if arg[i] then print(i, arg[i]) end end
]]

function TestArguments.test_outside_script()
  local file <close> = script(SHOW)
  prints(("2\ta\tb c\n-2\t%s\n-1\t-W\n0\t%s\n1\ta\n2\tb c\n"):format(process.program, file.path), { "-W", file.path, "a", "b c" })
end

function TestArguments.test_outside_options_behind_the_script_are_its_own()
  local file <close> = script(SHOW)
  prints(("2\t-e\t--\n-1\t%s\n0\t%s\n1\t-e\n2\t--\n"):format(process.program, file.path), { file.path, "-e", "--" })
end

function TestArguments.test_outside_end_of_options()
  local file <close> = script(SHOW)
  prints(("1\tx\n-2\t%s\n-1\t--\n0\t%s\n1\tx\n"):format(process.program, file.path), { "--", file.path, "x" })
end

function TestArguments.test_outside_no_script()
  prints(("0\n0\t%s\n1\t-e\n2\t%s\n"):format(process.program, SHOW), { "-e", SHOW })
end

function TestArguments.test_outside_many()
  local file <close> = script "print(select('#', ...), (select(-1, ...)))"
  local words = { file.path }
  for i = 1, 2000 do words[i + 1] = tostring(i) end
  prints("2000\t2000\n", words)
end

local TestInput = {}

function TestInput.test_outside_script_from_stdin()
  prints("1\n", {}, { stdin = "print(1)" })
  prints("1\ta\n", { "-", "a" }, { stdin = "print(select('#', ...), ...)" })
end

function TestInput.test_outside_first_line_with_a_hash()
  prints("ok\n", {}, { stdin = "#!/usr/bin/env eddy\nprint 'ok'" })
end

function TestInput.test_outside_stdin_waits()
  prints("waited\n", { "-" }, { stdin = "require('eddy').sleep(0.01) print 'waited'" })
end

function TestInput.test_outside_broken_stdin()
  local result = eddy({ "-" }, { stdin = "print(" })
  lu.assertEquals(result.code, 1)
  lu.assertStrContains(result.stderr, "eddy: stdin:1:")
end

function TestInput.test_outside_statement_leaves_stdin_alone()
  prints("data\n", { "-e", "print(io.read())" }, { stdin = "data\nprint 'no'\n" })
end

function TestInput.test_outside_output_nobody_reads()
  local command = ("%s -e 'while true do print(1) end' | head -1"):format(process.quote(process.program))
  local result = process.run(command, { timeout = 10 })
  lu.assertFalse(result.timed_out)
  lu.assertEquals(result.stdout, "1\n")
end

return { TestStatements = TestStatements, TestInformation = TestInformation, TestEnvironment = TestEnvironment,
  TestArguments = TestArguments, TestInput = TestInput }
