-- SPDX-License-Identifier: MIT
-- Try the examples in C and C++.   lua tools/hosts.lua FOLDER EXAMPLE...
-- Each that was built as FOLDER/EXAMPLE ends well and prints what is in the file of the same name ending in
-- `.out`. One that was not, for want of what it needs, is skipped with a line that says so.
package.path = "./?.lua;" .. package.path
local expect = require "spec.support.expect"

local folder = assert(arg[1], "usage: hosts.lua FOLDER EXAMPLE...")
local limiter = os.execute("timeout 1 true >/dev/null 2>&1") and "timeout 60 " or ""

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

local function try(path)
  local name = path:gsub("%.%w+$", "")
  local program = folder .. "/" .. name
  if not read(program) then return nil end
  local wanted = assert(read(name .. ".out"), name .. ".out is missing")
  local pipe = assert(io.popen(("SDL_VIDEODRIVER=dummy %s%s 2>&1"):format(limiter, program)))
  local text = pipe:read("a")
  local ok, how, code = pipe:close()
  if not ok then return false, ("%s %d\n%s"):format(how, code, text) end
  return expect.output(wanted, text)
end

--- What an example says that it needs.
local function needs(path)
  local text = read(path)
  return text:match("\n%*%* Needs: ([^\n]*)") or text:match("\n%*%* System: ([^\n]*)") or "a C++ compiler"
end

local passed, failed, skipped = 0, 0, 0
for i = 2, #arg do
  local ok, problem = try(arg[i])
  if ok then
    passed = passed + 1
  elseif ok == nil then
    skipped = skipped + 1
    print(("%s: skipped, there is no %s here"):format(arg[i], needs(arg[i])))
  else
    failed = failed + 1
    print(("%s: %s"):format(arg[i], problem))
  end
end
print(("%d passed, %d failed%s"):format(passed, failed, skipped > 0 and (", %d skipped"):format(skipped) or ""))
os.exit(failed == 0)
