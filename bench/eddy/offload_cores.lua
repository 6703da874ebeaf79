-- SPDX-License-Identifier: MIT
-- offload_cores.lua WORKERS: the same Lua work so many times here, and once in each worker. Prints how
-- many times faster the second is; the best of five, since a neighbour can only make it worse.
local eddy = require "eddy"
local measure = dofile "bench/measure.lua"

local workers = tonumber(arg[1])
local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
local function work() return fib(30) end

local function timed(fn)
  local began = eddy.now()
  fn()
  return eddy.now() - began
end

local function serial() for _ = 1, workers do work() end end
local list = {}
for i = 1, workers do list[i] = i end
local function parallel() eddy.offload_map(list, work) end

eddy.config { workers = workers }
eddy.run(function()
  local best = 0
  parallel()
  for _ = 1, 5 do best = math.max(best, timed(serial) / timed(parallel)) end
  measure.report(best)
end)
