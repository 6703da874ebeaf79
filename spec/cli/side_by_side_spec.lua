-- SPDX-License-Identifier: MIT
-- The program beside the real `lua`: what both print, where, and the exit code. Only the name in front of
-- messages, the version line and the text of the usage may differ; our main chunk is a tail call in its own
-- eyes, and GNU readline repeats lines that do not come from a terminal. On purpose different, so not here: a
-- failing script on standard input without '-' is exit code 1, not 0; input that ends in the middle of a
-- statement is said to, where lua.c 5.4.4 prints "(null)".
local lu = ...
local process = require "spec.support.process"

local quote = process.quote

--- The interpreter of the same release as the one inside the program.
local function find_lua()
  local release = process.eddy({ "-v" }).stdout:match("%((Lua [%d.]+),")
  for _, name in ipairs { "lua" .. _VERSION:match("%d+%.%d+"), "lua" } do
    local found = process.run(("command -v %s && %s -v"):format(name, name)).stdout
    if release and found:find(release, 1, true) then return found:match("^[^\n]*") end
  end
end

local real = find_lua()

--- Without the lines of the input that readline repeats behind a prompt.
local function without_echo(text, stdin)
  local from = 1
  for line in (stdin or ""):gmatch("[^\n]+") do
    local first, last = text:find(line, from, true)
    while first and not text:sub(1, first - 1):match("[>:] $") do first, last = text:find(line, last + 1, true) end
    if first and text:sub(last + 1, last + 1) == "\n" then
      text = text:sub(1, first - 1) .. text:sub(last + 2)
      from = first
    end
  end
  return text
end

local function normal(text, program)
  text = text:gsub("\n\t%(%.%.%.tail calls%.%.%.%)\n\t%[C%]: in %?", "\n\t[C]: in ?")
  text = text:gsub("^[^\n]*[Ll]ua 5%.[^\n]*\n", "VERSION\n"):gsub("\n[^\n]*Lua 5%.%d%.%d+ [^\n]*", "\nVERSION")
  text = ("\n" .. text):gsub("\n" .. program:gsub("%p", "%%%0") .. ": ", "\nPROGRAM: "):gsub("\neddy: ", "\nPROGRAM: ")
  return (text:gsub("\nusage: .*", "\nUSAGE"):sub(2):gsub(program:gsub("%p", "%%%0"), "PROGRAM"))
end

--- In one folder per case, which holds these files.
local function in_folder(files, act)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. quote(folder)))
  for name, text in pairs(files or {}) do
    local file <close> = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
  end
  local _ <close> = setmetatable({}, { __close = function() os.execute("rm -rf " .. quote(folder)) end })
  return act(folder)
end

local function outcome(program, case, folder)
  local words = { "exec " .. quote(program) }
  for i, word in ipairs(case) do words[i + 1] = quote(word) end
  -- A width, or readline scrolls long lines on terminals that cannot do more.
  local env = { LUA_INIT = false, LUA_INIT_5_4 = false, LUA_INIT_5_5 = false, COLUMNS = "5000" }
  for name, value in pairs(case.env or {}) do env[name] = value end
  local result = process.run(table.concat(words, " "), { stdin = case.stdin, env = env, cwd = folder, timeout = 20 })
  if program == real and case[1] == "-i" then result.stdout = without_echo(result.stdout, case.stdin) end
  return { code = result.code, stdout = normal(result.stdout, program), stderr = normal(result.stderr, program) }
end

local function absolute(path)
  return path:sub(1, 1) == "/" and path or os.getenv("PWD") .. "/" .. path
end

local SHOW = "print(select('#', ...), ...) for i = -6, 6 do if arg[i] and arg[i - 1] then print(i, arg[i]) end end"
local FILES = {
  ["show.lua"] = SHOW .. "\n",
  ["fails.lua"] = "local function inner() error('deep') end\nlocal function outer() inner() end\nouter()\n",
  ["broken.lua"] = "x = = 1\n",
  ["hash.lua"] = "#!/usr/bin/env lua\nprint 'after the hash'\n",
  ["module.lua"] = "print('loading', ...) return { name = ... }\n",
  ["false.lua"] = "return false\n",
  ["init.lua"] = "print('init', ...)\n",
  ["object.lua"] = "error(setmetatable({}, { __tostring = function() return 'an object' end }))\n",
}

local CASES = {
  statements = {
    { "-e", "print(1)" }, { "-eprint(1)" }, { "-e", "x = 1", "-e", "print(x)" }, { "-e", "return 5" },
    { "-e", "print(...)" }, { "-e", "error 'oops'" }, { "-e", "error('no position', 0)" }, { "-e", "error()" },
    { "-e", "error(nil)" }, { "-e", "error {}" }, { "-e", "error(42)" }, { "-e", "error(true)" }, { "-e", "x = = 1" },
    { "-e", "local t = nil; t.x = 1" }, { "-e", "nil()" }, { "-e", "print 'first' error 'then'", "-e", "print 'never'" },
    { "-e", "string.rep()" }, { "-e", "require 'there.is.none'" }, { "-e", "assert(false)" }, { "-e", "assert(nil, 'why')" },
    { "-e", "local ok <close> = setmetatable({}, { __close = function() print 'closed' end }) error 'x'" },
    { "-e", "print(debug.traceback('here'))" }, { "-e", "error('two\\nlines')" }, { "-e", "" },
  },
  exits = {
    { "-e", "os.exit(3)" }, { "-e", "os.exit(true)" }, { "-e", "os.exit(false)" }, { "-e", "os.exit(true, true)" },
    { "-e", "os.exit(7, true)" }, { "-e", "print 'buffered' os.exit(0)" },
  },
  options = {
    {}, { "-" }, { "--" }, { "-v" }, { "-v", "-e", "print(1)" }, { "-v", "show.lua", "a" }, { "-E", "-e", "print(1)" },
    { "-x" }, { "-vv" }, { "-e" }, { "-l" }, { "--", "-e" }, { "-i-" }, { "-W", "-e", "warn('careful')" },
    { "-e", "warn('not shown')" }, { "-e", "warn('@on') warn('shown', ' whole') warn('@off') warn('not')" },
    { "-e", "print(1)", "-x" }, { "--nonsense" }, { "-Wx" }, { "-Ev" },
  },
  scripts = {
    { "show.lua" }, { "show.lua", "a", "b c", "" }, { "--", "show.lua", "-v" }, { "-W", "show.lua", "-e", "x" },
    { "-e", "y = 1", "show.lua", "z" }, { "fails.lua" }, { "broken.lua" }, { "hash.lua" }, { "missing.lua" }, { "object.lua" },
    { "-", "a", "b", stdin = SHOW }, { stdin = "print 'from stdin'" }, { "-", stdin = "x = = 1" },
    { stdin = "#!hash\nprint(2)" }, { "-e", "print(io.read())", stdin = "data\n" }, { "hash.lua", "x", stdin = "ignored" },
  },
  libraries = {
    { "-l", "module", "-e", "print(module.name)" }, { "-lmodule", "-e", "print(module.name)" }, { "-l", "g=module", "-e",
    "print(g.name, module)" },
    { "-l", "nothing.here", "-e", "print(1)" }, { "-l", "broken" }, { "-l", "fails" },
    { "-l", "false", "-e", "print(_G['false'])" }, { "-e", "print(module)", "-l", "module", "-e", "print(module.name)" },
  },
  environment = {
    { "-e", "print 'script'", env = { LUA_INIT = "print 'init'" } }, { "-e", "print(1)", env = { LUA_INIT = "@init.lua" } },
    { "-e", "print(1)", env = { LUA_INIT_5_4 = "print 'new'", LUA_INIT_5_5 = "print 'new'", LUA_INIT = "print 'old'" } },
    { "-E", "-e", "print(1)", env = { LUA_INIT = "print 'init'" } }, { "-e", "print(1)", env = { LUA_INIT = "error 'bad'" } },
    { "-e", "print(1)", env = { LUA_INIT = "x = = 1" } }, { "-e", "print(1)", env = { LUA_INIT = "@missing.lua" } },
    { "-v", env = { LUA_INIT = "print 'init'" } }, { "-x", env = { LUA_INIT = "print 'init'" } },
    { "-e", "print(package.path)", env = { LUA_PATH = "here/?.lua" } }, { "-E", "-e", "print(package.path:find('here'))", env =
    { LUA_PATH = "here/?.lua" } },
    { "-e", "print(package.path == package.path:gsub(';;', ''))", env =
    { LUA_PATH_5_4 = "there/?.lua;;", LUA_PATH_5_5 = "there/?.lua;;" } },
  },
  prompt = {
    { "-i", stdin = "1 + 1\n" }, { "-i", stdin = "=1, nil, 'x'\n" }, { "-i", stdin = "x = 5\nx\nx = x + 1 print(x)\n" },
    { "-i", stdin = "for i = 1, 2 do\nprint(i)\nend\n" }, { "-i", stdin = "= (\n2\n)\n" }, { "-i", stdin = "print(\n'a'\n)\n" },
    { "-i", stdin = "error 'oops'\n'still here'\n" }, { "-i", stdin = "x = = 1\n1\n" },
    { "-i", stdin = "error {}\nerror(nil)\nerror 'last'\n" },
    { "-i", stdin = "[[long\nstring]]\n" }, { "-i", stdin = "1" }, { "-i", stdin = "" },
    { "-i", stdin = "_PROMPT = 'ask: ' _PROMPT2 = 'more: '\nprint(\n1)\n" }, { "-i", stdin = "local x = 1\nprint(x)\n" },
    { "-i", stdin = "os.exit(4)\n1\n" }, { "-i", stdin = "print = nil\n1\n" }, { "-i", stdin = "('x'):rep(3)\n" },
    { "-i", "-e", "x = 'set'", stdin = "x\n" }, { "-i", "show.lua", "a", stdin = "arg[1], ...\n" }, { "-i", "fails.lua", stdin = "1\n" },
    { "-i", "-", stdin = "print 'script on stdin'" }, { "-i", stdin = "return 1, 2\nreturn\ngoto x\nbreak\n" },
    { "-i", stdin = "local function f() error 'deep' end f()\n" }, { "-i", "broken.lua", stdin = "1\n" },
    { "-i", stdin = ("x"):rep(300) .. " = 1\n" .. ("x"):rep(300) .. "\n" }, { "-i", "-l", "module", stdin = "module.name\n" },
    { "-i", "missing.lua", stdin = "1\n" }, { "-i", env = { LUA_INIT = "_PROMPT = 'p: ' x = 9" }, stdin = "x\n" },
  },
}

local TestBesideLua = {}

local function compare(cases)
  if not real then lu.skip("no lua of the same release to compare with") end
  local program = absolute(process.program)
  for _, case in ipairs(cases) do
    local note = table.concat(case, " ") .. (case.stdin and (" < %q"):format(case.stdin) or "")
    local wanted, got = in_folder(FILES, function(folder)
      return outcome(real, case, folder), outcome(program, case, folder)
    end)
    lu.assertEquals(note .. "\n" .. got.stdout, note .. "\n" .. wanted.stdout)
    lu.assertEquals(note .. "\n" .. got.stderr, note .. "\n" .. wanted.stderr)
    lu.assertEquals(note .. " " .. got.code, note .. " " .. wanted.code)
  end
end

for name, cases in pairs(CASES) do
  TestBesideLua["test_outside_" .. name] = function() compare(cases) end
end

return { TestBesideLua = TestBesideLua }
