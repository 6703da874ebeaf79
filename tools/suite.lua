-- SPDX-License-Identifier: MIT
-- Run the parts of `make test` and add up what they say.   lua tools/suite.lua [--some] NAME=COMMAND...
--
-- Each part's last line of the form `N passed, N failed[, N skipped]` counts. A part that prints no
-- such line, or ends badly without owning up to a failure, counts as one failure. The last line
-- printed is the sum. With --some a part may find nothing to run. EDDY_PART_TIMEOUT gives the seconds
-- each part may take.

local LIMIT = os.getenv("EDDY_PART_TIMEOUT") or "900"
local limiter = os.execute("timeout 1 true >/dev/null 2>&1") and ("timeout -k 5 %s "):format(LIMIT) or ""

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function parse(line)
  local passed, failed, rest = line:match("^(%d+) passed, (%d+) failed(.*)$")
  if not passed then return nil end
  local skipped = rest:match("^, (%d+) skipped$")
  if rest ~= "" and not skipped then return nil end
  return { passed = tonumber(passed), failed = tonumber(failed), skipped = tonumber(skipped or 0) }
end

--- Run one part, showing its output as it comes except for its own sum.
local function run(command)
  local pipe = assert(io.popen(("%ssh -c %s 2>&1"):format(limiter, quote(command))))
  local count
  for line in pipe:lines() do
    local found = parse(line)
    if found then count = found else print(line) end
    io.stdout:flush()
  end
  local _, how, code = pipe:close()
  return count, how, code
end

local function describe(how, code)
  if how == "signal" or code > 128 then return ("ended by signal %d"):format(how == "signal" and code or code - 128) end
  if code == 124 then return ("took longer than %s s"):format(LIMIT) end
  return ("exit status %d"):format(code)
end

local is_some = arg[1] == "--some"
local total = { passed = 0, failed = 0, skipped = 0 }

for i = is_some and 2 or 1, #arg do
  local name, command = arg[i]:match("^([^=]*)=(.*)$")
  local count, how, code = run(command)
  local is_bad = code ~= 0
  local note = is_bad and " (" .. describe(how, code) .. ")" or ""
  if not count then
    note = " (printed no count, " .. describe(how, code) .. ")"
    count = { passed = 0, failed = 1, skipped = 0 }
  elseif is_some and count.passed + count.failed == 0 then
    note = ", nothing to run"
  elseif is_bad and count.failed == 0 then
    count.failed = 1
  end
  for key in pairs(total) do total[key] = total[key] + count[key] end
  print(("  part     %s: %d passed, %d failed%s%s"):format(name, count.passed, count.failed,
    count.skipped > 0 and (", %d skipped"):format(count.skipped) or "", note))
end

print(("%d passed, %d failed%s"):format(total.passed, total.failed,
  total.skipped > 0 and (", %d skipped"):format(total.skipped) or ""))
io.stdout:flush()
os.exit(total.failed == 0 and total.passed > 0)
