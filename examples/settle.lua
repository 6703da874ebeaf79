-- SPDX-License-Identifier: MIT
-- Several calls of which some fail: `settle` says how each ended, `gather` raises the first failure,
-- `any` wants one success.
local eddy = require "eddy"

local function fetch(name, seconds, problem)
  return function()
    eddy.sleep(seconds)
    if problem then error(eddy.error { kind = "io", op = "fetch", target = name, message = problem }) end
    return name .. "'s page"
  end
end

local mirrors = { fetch("north", 0.01, "no route"), fetch("east", 0.02), fetch("south", 0.03, "refused") }

for i, result in ipairs(eddy.settle(mirrors)) do
  print(i, result.ok, result.value or result.err)
end

local ok, err = pcall(eddy.gather, mirrors)
print("gather", ok, err)
print("is it I/O?", eddy.is(err, "io"))

print("any", eddy.any(mirrors))

ok, err = pcall(eddy.any, { mirrors[1], mirrors[3] })
print("none", ok, err.kind, #err.errors)
for i, each in ipairs(err.errors) do print(i, each.target, each.message) end
