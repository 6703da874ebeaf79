-- SPDX-License-Identifier: MIT
-- A call that could not tell its results or its errors for want of memory, or could not start all its
-- members, left its block open: what was spawned afterwards belonged to it, and was cancelled with it.
local lu = ...
local eddy = require "eddy"
local probe = require("eddy.core").probe

local TestMemory = { leaks = false }

local function nothing() end
local function fail() error "planned" end
local function nap() eddy.sleep(0) end
local function rest() eddy.sleep(1000) end

local calls = {
  gather = function() eddy.gather(nothing, nap, nothing) end,
  gather_list = function() eddy.gather { nothing, eddy.spawn(nothing), nap } end,
  gather_fails = function() eddy.gather(fail, rest, fail) end,
  settle = function() eddy.settle { nothing, fail, nap } end,
  race = function() eddy.race { nap, rest } end,
  race_fails = function() eddy.race { fail, rest } end,
  any = function() eddy.any { fail, nap, rest } end,
  any_fails = function() eddy.any { fail, fail } end,
  group = function() eddy.group(function(g) g:spawn(nothing) g:spawn(nap) end) end,
  group_fails = function() eddy.group(function(g) g:spawn(fail) g:spawn(fail) rest() end) end,
  group_cancelled = function() eddy.group(function(g) g:spawn(rest) nap() g:cancel "enough" end) end,
  group_in_a_variable = function() local g <close> = eddy.group() g:spawn(fail) g:spawn(fail) nap() end,
  start = function() eddy.group(function(g) g:start(function(ready) ready(1, 2) end) end) end,
  timeout = function() eddy.timeout(0, rest) end,
  timeout_fails = function()
    eddy.timeout(0, function() local _ <close> = setmetatable({}, { __close = fail }) rest() end)
  end,
  within = function() eddy.within(0, rest) end,
  shield = function() eddy.within(0, eddy.shield, 0, rest) end,
  as_completed = function() for _ in eddy.as_completed { nothing, fail, nap } do nap() end end,
  map = function() eddy.map({ 1, 2, 3 }, nap, { limit = 2 }) end,
  map_fails = function() eddy.map({ 1, 2, 3 }, fail, { limit = 2 }) end,
  nested = function()
    eddy.timeout(1000, function() eddy.gather(function() eddy.group(function(g) g:spawn(fail) end) end, rest) end)
  end,
  with_variables = function() eddy.var():with(1, eddy.gather, nothing, nothing) end,
}

local MANY = 1 << 40

--- The n-th request of `call` for memory fails (and, `for_good`, all behind it). Returns how many there
--- were, if n is MANY, and whether a block is open still: that is seen by yielding, which raises out of a
--- block that the coroutine has opened.
local function starve(call, n, for_good)
  local left, is_open
  pcall(eddy.run, function()
    is_open = "out" ~= coroutine.wrap(function()
      probe.fail(n, for_good)
      pcall(call)
      left = probe.fail()
      pcall(coroutine.yield, "out")
    end)()
  end)
  return MANY - left, is_open
end

for name, call in pairs(calls) do
  TestMemory["test_outside_" .. name] = function()
    eddy.config { clock = "manual" }
    local count = starve(call, MANY)
    lu.assertTrue(count > 0)
    for _, for_good in ipairs { false, true } do
      for n = 1, count do
        local _, is_open = starve(call, n, for_good)
        lu.assertFalse(is_open, ("%s, request %d, %s"):format(name, n, for_good))
        local stats = eddy.stats()
        lu.assertEquals({ n, stats.tasks, stats.operations, stats.timers }, { n, 0, 0, 0 })
      end
    end
    eddy.config { clock = false }
  end
end

return { TestMemory = TestMemory }
