-- SPDX-License-Identifier: MIT
-- The program `eddy`: lua.c's conventions, with every piece of Lua a root task of its own.
--
-- The script and each `-e` run through `eddy.run`, so they wait at top level and end when they and their
-- children have ended. LUA_INIT and `-l` run before any task: a module named there may call
-- `eddy.config`. SIGINT and SIGTERM cancel the running root, the second one kills. The prompt is
-- eddy.prompt: one run for the whole session, in which a script before it is the first line.
--
-- `main` returns the exit code: 0, 1 for an error, 128 + n when signal n ended a root task.

local core = require "eddy.core"
local eddy = require "eddy"
local prompt = require "eddy.prompt"

local cli = {}

local NAME = "eddy"
local FAILURE = 1
local WARN_BLOCKING = 0.01   -- seconds
local VERSION_SUFFIX = "_" .. _VERSION:match("%d+%.%d+"):gsub("%.", "_")

local USAGE = [=[
usage: eddy [options] [script [args]]
  -e stat   execute string 'stat'
  -i        enter interactive mode after executing 'script'
  -l mod    require library 'mod' into global 'mod'
  -l g=mod  require library 'mod' into global 'g'
  -v        show version information
  -E        ignore environment variables
  -W        turn warnings on
  --warn-blocking[=seconds]
            report each task that holds the loop for so long, by default 0.01
  --        stop handling options
  -         stop handling options and execute stdin
]=]

-- ---- Messages ----------------------------------------------------------------------------------

local function say(text)
  io.stderr:write(NAME, ": ", text, "\n")
end

--- What an error says about itself, as lua.c words it.
local function message_of(err)
  local kind = type(err)
  if kind == "string" or kind == "number" then return tostring(err) end
  local meta = getmetatable(err)
  if type(meta) == "table" and meta.__tostring then
    local ok, text = pcall(tostring, err)
    if ok then return text end
  end
  return ("(error object is a %s value)"):format(kind)
end

--- Does it speak for itself? Not so our own errors: they say what, and the traceback where.
local function has_own_words(err)
  local meta = type(err) ~= "string" and getmetatable(err)
  return type(meta) == "table" and meta.__tostring ~= nil and meta ~= eddy.Error and meta ~= eddy.ErrorGroup
end

--- The text of an error, with the traceback of the task where there is one.
local function text_of(err, traceback)
  local text = message_of(err)
  if traceback and not has_own_words(err) and traceback ~= "" then
    -- The script was a tail call, so that no frame of this file stands below it.
    text = text .. "\n" .. traceback:gsub("\n\t%(%.%.%.tail calls%.%.%.%)\n\t%[C%]: in %?$", "\n\t[C]: in ?")
  end
  return text
end

local function report(err, traceback)
  say(text_of(err, traceback))
end

local function version_line()
  return ("%s %s (%s, libuv %s)"):format(NAME, core.version, core.lua_version or _VERSION, core.libuv_version)
end

-- ---- Options -----------------------------------------------------------------------------------

---@class eddy.cli.Options
---@field actions {letter: string, value: string?}[]  -e, -l and -W in their order
---@field interactive boolean
---@field version boolean
---@field help boolean
---@field no_environment boolean
---@field has_statement boolean
---@field script integer?        index of the script in the words
---@field is_stdin boolean       the script is `-`
---@field warn_blocking number?  seconds

local FLAGS = { ["-i"] = "interactive", ["-v"] = "version", ["--version"] = "version", ["-E"] = "no_environment",
  ["--help"] = "help" }

--- The letter and value of `-e stat`, `-estat`, `-l mod`, `-lmod`, and how many words that was.
local function action_of(words, i)
  local letter, value = words[i]:match("^%-([el])(.*)$")
  if not letter then return nil end
  if value ~= "" then return { letter = letter, value = value }, 1 end
  value = words[i + 1]
  if not value or value:sub(1, 1) == "-" then return nil end
  return { letter = letter, value = value }, 2
end

--- The seconds of `--warn-blocking`, `--warn-blocking=0.1`; nil: it is something else.
local function seconds_of(word)
  if word == "--warn-blocking" then return WARN_BLOCKING end
  local seconds = tonumber(word:match "^%-%-warn%-blocking=(.*)$")
  return seconds and seconds > 0 and seconds or nil
end

--- Read the options up to the script.
---@param words string[]
---@return eddy.cli.Options? options  nil: a word is wrong
---@return string? bad                that word
local function parse(words)
  local options = { actions = {}, interactive = false, version = false, help = false, no_environment = false,
    has_statement = false, is_stdin = false }
  local i = 1
  while words[i] and words[i]:sub(1, 1) == "-" do
    local word, taken = words[i], 1
    if word == "-" then options.is_stdin = true break end
    if word == "--" then i = i + 1 break end
    if FLAGS[word] then
      options[FLAGS[word]] = true
    elseif seconds_of(word) then
      options.warn_blocking = seconds_of(word)
    elseif word == "-W" then
      options.actions[#options.actions + 1] = { letter = "W" }
    else
      local action
      action, taken = action_of(words, i)
      if not action then return nil, word end
      options.actions[#options.actions + 1] = action
      options.has_statement = options.has_statement or action.letter == "e"
    end
    i = i + taken
  end
  options.script = words[i] and i or nil
  return options
end

local function usage(bad)
  local lacks = bad == "-e" or bad == "-l"
  say(lacks and ("'%s' needs argument"):format(bad) or ("unrecognized option '%s'"):format(bad))
  io.stderr:write(USAGE)
  return FAILURE
end

--- The global `arg`: the script at 0, what precedes it below, its arguments above.
local function arrange(words, script)
  local first = 0
  while words[first - 1] ~= nil do first = first - 1 end
  local arranged = {}
  for i = first, #words do arranged[i - (script or 0)] = words[i] end
  return arranged
end

-- ---- Running -----------------------------------------------------------------------------------

--- Call `chunk` as a root task. Reports what it raises.
---@return integer code     0, or the exit code
---@return table? results   what it returned, with `n`
---@return boolean? signal  a signal ended it
local function run(chunk, ...)
  local root
  local results = table.pack(pcall(eddy.run, function(...)
    root = eddy.current()
    core.signal.trap("INT", "TERM")
    return chunk(...)
  end, ...))
  if results[1] then return 0, results end
  local signal = core.signal.trapped()
  if signal and eddy.is(results[2], "cancelled") then return 128 + signal, nil, true end
  report(results[2], root and root:traceback())
  return FAILURE
end

local function run_loaded(chunk, problem, ...)
  if chunk then return (run(chunk, ...)) end
  report(problem)
  return FAILURE
end

--- A traceback without the frames of this file below it.
local function traceback_of(err)
  if type(err) ~= "string" then return message_of(err) end
  return (debug.traceback(err, 2):gsub("\n%s*%[C%]: in function 'xpcall'\n.*", "\n\t[C]: in ?"))
end

--- Call outside of any task, as lua.c does.
---@return integer code
---@return any value      the first result
local function call_plainly(fn, ...)
  local ok, value = xpcall(fn, traceback_of, ...)
  if ok then return 0, value end
  report(value)
  return FAILURE
end

--- `-l mod`, `-l g=mod`; of `mod-2.0` the global is `mod`.
local function require_global(text)
  local name, module = text:match("^([^=]*)=(.*)$")
  if not name then name, module = text:match("^[^-]*"), text end
  local code, value = call_plainly(require, module)
  if code == 0 then _G[name] = value end
  return code
end

local function run_init(options)
  if options.no_environment then return 0 end
  for _, name in ipairs { "LUA_INIT" .. VERSION_SUFFIX, "LUA_INIT" } do
    local text = os.getenv(name)
    if text then
      local chunk, problem
      if text:sub(1, 1) == "@" then chunk, problem = loadfile(text:sub(2)) else chunk, problem = load(text, "=" .. name) end
      if chunk then return (call_plainly(chunk)) end
      report(problem)
      return FAILURE
    end
  end
  return 0
end

local function run_action(action)
  if action.letter == "W" then warn("@on") return 0 end
  if action.letter == "l" then return require_global(action.value) end
  local chunk, problem = load(action.value, "=(command line)")
  return run_loaded(chunk, problem)
end

local function run_actions(options)
  for _, action in ipairs(options.actions) do
    local code = run_action(action)
    if code ~= 0 then return code end
  end
  return 0
end

--- For loadfile: nil is the standard input.
local function script_path(options)
  return not options.is_stdin and arg[0] or nil
end

local function run_script(options)
  local chunk, problem = loadfile(script_path(options))
  return run_loaded(chunk, problem, table.unpack(arg))
end

-- ---- The prompt --------------------------------------------------------------------------------

--- Will there be a prompt?
local function wants_prompt(options)
  if options.interactive then return true end
  return not (options.script or options.is_stdin or options.has_statement or options.version) and core.isatty(0)
end

--- The session, and first the script if there is one.
local function run_prompt(options)
  local script, problem
  if options.script then
    script, problem = loadfile(script_path(options))
    if not script then report(problem) return FAILURE end
  end
  local host = { say = say, text_of = text_of, message_of = message_of }
  local ok, code = pcall(eddy.run, function(...)
    core.signal.trap("TERM")
    return prompt.run(host, script, ...)
  end, table.unpack(arg))
  if ok then return code end
  local signal = core.signal.trapped()
  if signal and eddy.is(code, "cancelled") then return 128 + signal end
  report(code)
  return FAILURE
end

-- ---- All of it ---------------------------------------------------------------------------------

--- What comes after the options: the script, the prompt, or a script on standard input.
local function run_rest(options)
  if options.has_prompt then
    if not options.interactive then print(version_line()) end
    return run_prompt(options)
  end
  if options.script then return run_script(options) end
  if options.has_statement or options.version then return 0 end
  return run_loaded(loadfile())
end

--- Run the program. Sets the global `arg` as lua.c does.
---@param words string[]   the command line: the program at 0, its options and arguments from 1
---@return integer code    for the process to exit with
---@return boolean is_stuck  a thread of the pool still works (a name lookup without answer, say)
function cli.main(words)
  local options, bad = parse(words)
  if not options then return usage(bad) end
  if options.help then
    io.stdout:write(USAGE)
    return 0
  end
  if options.version or options.interactive then print(version_line()) end
  _G.arg = arrange(words, options.script)
  if options.warn_blocking then eddy.config { warn_blocking = options.warn_blocking } end
  options.has_prompt = wants_prompt(options)
  if options.has_prompt then prompt.prepare() end
  local code = run_init(options)
  if code == 0 then code = run_actions(options) end
  if code == 0 then code = run_rest(options) end
  return code, eddy.stats().jobs > 0
end

return cli
