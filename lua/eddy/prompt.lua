-- SPDX-License-Identifier: MIT
-- The prompt of the program: each line a task, with the loop running while the user types.
--
-- The whole session is one `eddy.run`, whose root task reads. A line is a background task of its own: the
-- next prompt comes when its body has ended; children that it leaves go on, and what fails then goes to
-- `on_error`. An interrupt cancels the running line with its children, or drops what was typed so far; a
-- second one ends the program if the line has not ended by then. The end of the input ends the session: what
-- still runs is cancelled. As lines can be interrupted, one that waits for what never comes is no deadlock.
--
-- Standard input is read through C's `stdin` without a buffer, byte by byte and only when there is some,
-- so that `io.read` in a line gets what follows the line, as with lua.c.

local core = require "eddy.core"
local eddy = require "eddy"

local prompt = {}

local INTERRUPTED = {}

---@class eddy.prompt.Host    what the session needs of the program
---@field say fun(text: string)                             with the program's name in front
---@field text_of fun(err: any, traceback: string?): string
---@field message_of fun(err: any): string

-- ---- Reading -----------------------------------------------------------------------------------

--- Must come before anything else reads.
function prompt.prepare()
  io.stdin:setvbuf("no")
end

--- One line without its newline; nil at the end of the input; false when it was interrupted.
local function read_line()
  local bytes = {}
  while true do
    if not core.console.readable(0) then return false end
    local byte = io.stdin:read(1)
    if not byte then return #bytes > 0 and table.concat(bytes) or nil end
    if byte == "\n" then return table.concat(bytes) end
    bytes[#bytes + 1] = byte
  end
end

local function ask(name, default)
  local text = _G[name]
  io.stdout:write(text == nil and default or tostring(text))
  io.stdout:flush()
  return read_line()
end

--- Does the text only lack its end?
local function is_incomplete(problem)
  return problem:sub(-5) == "<eof>"
end

--- Read one statement or expression, over as many lines as it takes.
---@return function|false|nil chunk  false: interrupted
---@return string? problem          with nil; nil too when the input has ended
local function read_chunk()
  local text = ask("_PROMPT", "> ")
  if not text then return text end
  text = text:gsub("^=", "return ")
  local expression = load("return " .. text, "=stdin")
  if expression then return expression end
  while true do
    local chunk, problem = load(text, "=stdin")
    if chunk or not is_incomplete(problem) then return chunk, problem end
    local more = ask("_PROMPT2", ">> ")
    if more == false then return false end
    if not more then return nil, problem end
    text = text .. "\n" .. more
  end
end

-- ---- Running -----------------------------------------------------------------------------------

--- As in lua.c no name stands before what lines have to say.
local function complain(text)
  io.stderr:write(text, "\n")
end

local function show(host, results)
  if results.n == 0 then return end
  local ok, problem = eddy.pcall(print, table.unpack(results, 1, results.n))
  if not ok then complain(("error calling 'print' (%s)"):format(host.message_of(problem))) end
end

--- A tail call, so that the line is the "main chunk" of its traceback.
local function enter(chunk, ...)
  return chunk(...)
end

--- The frames of this file below the line are no news.
local function trimmed(traceback)
  if not traceback then return nil end
  return (traceback:gsub("\n\t%(%.%.%.tail calls%.%.%.%)\n[^\n]*eddy/prompt%.lua:.*", "\n\t[C]: in ?"))
end

--- Run `chunk` as a task until its body has ended, or it failed.
---@return table? results     nil: it failed
---@return any err            INTERRUPTED, or what it raised
---@return string? traceback
local function run_line(chunk, ...)
  local returned, arguments, results = eddy.event(), table.pack(...), nil
  local task = eddy.background(function()
    results = table.pack(enter(chunk, table.unpack(arguments, 1, arguments.n)))
    returned:set()
  end)
  core.console.line(task)
  eddy.select { returned, task }
  local is_cut = core.console.line(nil)
  if results then return results end
  local _, err = task:join()
  if is_cut and eddy.is(err, "cancelled") then return nil, INTERRUPTED end
  return nil, err, trimmed(task:traceback())
end

--- What went before the prompt goes by the program's name.
local function run_script(host, script, ...)
  local results, err, traceback = run_line(script, ...)
  if results then return 0 end
  if err == INTERRUPTED then return 130 end
  host.say(host.text_of(err, traceback))
  return 1
end

--- What is printed may have a `__tostring` that waits, or does not end: it can be interrupted as well.
local function answer(host, chunk)
  local results, err, traceback = run_line(chunk)
  local interrupted = err == INTERRUPTED
  if not interrupted then
    local _, problem = run_line(function()
      if results then show(host, results) else complain(host.text_of(err, traceback)) end
    end)
    interrupted = problem == INTERRUPTED
  end
  if interrupted then complain "interrupted" end
end

--- The session, in the root task.
---@async
---@param host eddy.prompt.Host
---@param script function?   runs first; if it fails there is no prompt
---@param ... any            its arguments
---@return integer code
function prompt.run(host, script, ...)
  core.console.open()
  local code = script and run_script(host, script, ...) or 0
  if code ~= 0 then return code end
  while true do
    local chunk, problem = read_chunk()
    if chunk then
      answer(host, chunk)
    elseif problem then
      complain(host.text_of(problem))
    else
      io.stdout:write("\n")
      if chunk == nil then break end
    end
  end
  core.console.close()
  return 0
end

return prompt
