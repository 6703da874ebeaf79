-- SPDX-License-Identifier: MIT
-- CPU-bound Lua on other cores, while the loop goes on.
local eddy = require "eddy"

local function is_prime(n)
  for d = 2, math.floor(n ^ 0.5) do
    if n % d == 0 then return false end
  end
  return n > 1
end

-- `is_prime` is an upvalue, and travels with the function.
local function primes_between(from, to)
  local list = {}
  for n = from, to do
    if is_prime(n) then list[#list + 1] = n end
  end
  return list
end

-- One call reads like any other. Meanwhile other tasks run.
local ticks = 0
local ticker = eddy.spawn(function() while true do eddy.sleep(0.001) ticks = ticks + 1 end end)
print("primes below 100000", #eddy.offload(primes_between, 1, 100000))
ticker:cancel()
print("the loop went on", ticks > 0)

-- A list, as many at a time as there are workers; the results come in order.
local counts = eddy.offload_map({ 1, 2, 3, 4 }, function(i)
  return #primes_between((i - 1) * 10000 + 1, i * 10000)
end)
print("by tens of thousands", table.unpack(counts))

-- An error is raised here as the value that it was there.
local ok, err = pcall(eddy.offload, function() error({ code = 42 }) end)
print("fails", ok, "with the code", err.code)

-- What has no meaning elsewhere is refused, before anything runs.
print("refused", pcall(eddy.offload, function() end, { log = { file = io.stdout } }))

-- A deadline stops even a loop that never ends.
print("endless", eddy.within(0.05, eddy.offload, function() while true do end end))
