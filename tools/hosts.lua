-- SPDX-License-Identifier: MIT
-- Try the examples in C.   lua tools/hosts.lua FOLDER EXAMPLE.c...
-- Each was built as FOLDER/EXAMPLE, ends well and prints what is in the file of the same name ending in `.out`.
package.path = "./?.lua;" .. package.path
local expect = require "spec.support.expect"

local folder = assert(arg[1], "usage: hosts.lua FOLDER EXAMPLE.c...")
local limiter = os.execute("timeout 1 true >/dev/null 2>&1") and "timeout 30 " or ""

local function try(path)
  local wanted <close> = assert(io.open((path:gsub("%.c$", ".out")), "rb"))
  local pipe = assert(io.popen(("%s%s/%s 2>&1"):format(limiter, folder, (path:gsub("%.c$", "")))))
  local text = pipe:read("a")
  local ok, how, code = pipe:close()
  if not ok then return false, ("%s %d\n%s"):format(how, code, text) end
  return expect.output(wanted:read("a"), text)
end

local passed, failed = 0, 0
for i = 2, #arg do
  local ok, problem = try(arg[i])
  passed, failed = passed + (ok and 1 or 0), failed + (ok and 0 or 1)
  if not ok then print(("%s: %s"):format(arg[i], problem)) end
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
