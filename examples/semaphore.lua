-- SPDX-License-Identifier: MIT
-- At most three at a time. A permit is a `<close>` value: it comes back on every way out.
local eddy = require "eddy"

local places = eddy.semaphore(3)
local inside, most = 0, 0

local function visit(n)
  local permit <close> = places:acquire()
  inside = inside + 1
  most = math.max(most, inside)
  eddy.sleep(0.01)
  inside = inside - 1
  if n == 7 then error("number seven stumbles", 0) end
end

local visits = {}
for n = 1, 12 do visits[n] = function() visit(n) end end
local failures = 0
for _, result in ipairs(eddy.settle(visits)) do
  if not result.ok then failures = failures + 1 end
end
print("most at once", most)
print("failures", failures)
print("free again", places:available())

-- without waiting
local permit = places:try_acquire(3)
print("taken", permit ~= nil, places:try_acquire())
print("released", permit:release(), permit:release())
