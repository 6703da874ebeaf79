-- SPDX-License-Identifier: MIT
-- Try the examples.   lua tools/examples.lua EXAMPLE.lua...
-- One with a file of the same name ending in `.out` runs and must print that; others must compile.
package.path = "./?.lua;" .. package.path
local process = require "spec.support.process"
local expect = require "spec.support.expect"

local TIMEOUT = 60

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

local function try(path)
  local chunk, problem = loadfile(path, "t")
  if not chunk then return false, problem end
  local wanted = read((path:gsub("%.lua$", ".out")))
  if not wanted then return true end
  local result = process.eddy({ path }, { timeout = TIMEOUT })
  if not result.ok then
    return false, ("exit status %d\n%s%s"):format(result.code, result.stdout, result.stderr)
  end
  return expect.output(wanted, result.stdout)
end

local passed, failed = 0, 0
for _, path in ipairs(arg) do
  local ok, problem = try(path)
  if ok then
    passed = passed + 1
  else
    failed = failed + 1
    print(("%s: %s"):format(path, problem))
  end
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
