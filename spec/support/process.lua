-- SPDX-License-Identifier: MIT
-- Run a command of the shell and see what it did. Blocks the whole process: for tests of exit codes,
-- of the program and of crashes, outside any task.

local process = {}

--- The program under test: a sanitized one when the suite says so.
process.program = os.getenv("EDDY_PROGRAM") or "build/bin/eddy"

local function can_run(command)
  return (os.execute(command .. " >/dev/null 2>&1"))
end

local limiter = can_run("timeout 1 true") and "timeout" or can_run("gtimeout 1 true") and "gtimeout"

--- Quote for the shell.
---@param text string
---@return string
function process.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return (file:read("a"))
end

--- A new temporary file that goes away with its variable.
local function temporary()
  local path = os.tmpname()
  return setmetatable({ path = path }, { __close = function() os.remove(path) end })
end

---@class process.Result
---@field ok boolean        exit status 0
---@field code integer      exit status; 128 + n for a signal; 124 when the time was over
---@field signal integer?   the signal that ended it
---@field timed_out boolean
---@field stdout string
---@field stderr string

---@class process.Options
---@field timeout number?   seconds, default 30; 2 seconds after the first signal comes SIGKILL
---@field stdin string?     default: nothing to read
---@field env table?        name -> value (false: not set)
---@field cwd string?

local function environment(env)
  local words = { "env" }
  for name, value in pairs(env) do
    words[#words + 1] = value == false and "-u " .. name or name .. "=" .. process.quote(tostring(value))
  end
  -- Options of env must come before its assignments.
  table.sort(words, function(a, b)
    if a == "env" or b == "env" then return a == "env" and b ~= "env" end
    local first, second = a:sub(1, 3) == "-u ", b:sub(1, 3) == "-u "
    if first ~= second then return first end
    return a < b
  end)
  return table.concat(words, " ")
end

--- Run `command` with `sh -c` and wait for its end.
---@param command string
---@param options process.Options?
---@return process.Result
function process.run(command, options)
  options = options or {}
  local stdin <close> = temporary()
  local stdout <close> = temporary()
  local stderr <close> = temporary()
  write_file(stdin.path, options.stdin or "")
  local line = "sh -c " .. process.quote(command)
  if options.env then line = environment(options.env) .. " " .. line end
  if limiter then line = ("%s -k 2 %g %s"):format(limiter, options.timeout or 30, line) end
  if options.cwd then line = "cd " .. process.quote(options.cwd) .. " && " .. line end
  io.stdout:flush()
  local ok, how, code = os.execute(("{ %s; } <%s >%s 2>%s"):format(line, stdin.path, stdout.path, stderr.path))
  if how == "signal" then code = 128 + code end
  return { ok = ok == true, code = code, signal = code > 128 and code - 128 or nil,
    timed_out = limiter ~= nil and (code == 124 or code == 137), stdout = read_file(stdout.path), stderr = read_file(stderr.path) }
end

--- Run the program with these arguments.
---@param arguments string[]
---@param options process.Options?
---@return process.Result
function process.eddy(arguments, options)
  local words = { "exec " .. process.quote(process.program) }
  for i, word in ipairs(arguments) do words[i + 1] = process.quote(word) end
  return process.run(table.concat(words, " "), options)
end

return process
