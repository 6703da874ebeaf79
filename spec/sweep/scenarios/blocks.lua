-- SPDX-License-Identifier: MIT
-- Scenarios about where a task is: a call that fails, also for want of memory, leaves no block open behind
-- it, or what is spawned afterwards would belong to that. See spec/sweep/run.lua.
local eddy = require "eddy"

local scenarios = {}

local function nothing() end
local function fail() error("planned", 0) end
local function nap() eddy.sleep(0) end
local function rest() eddy.sleep(1000) end

--- Call `fn` in a coroutine that yields afterwards: that raises out of a block which was opened there.
local function try(fn, ...)
  local step = coroutine.wrap(function(...)
    local result = table.pack(pcall(fn, ...))
    local ok, err = pcall(coroutine.yield, "out")
    if not ok and tostring(err):find("yield out of", 1, true) then return err end
    if not result[1] then error(result[2], 0) end
  end)
  local word = step(...)
  if word == "out" then word = step() end
  if word ~= nil and word ~= "out" then error("a block stays open: " .. tostring(word), 0) end
end

--- All calls, whatever becomes of each, as long as no block stays open; the last error is raised.
local function try_all(calls)
  local failed, problem
  for _, call in ipairs(calls) do
    local ok, err = pcall(try, call)
    if not ok and tostring(err):find("a block stays open", 1, true) then error(err, 0) end
    if not ok then failed, problem = true, err end
    if eddy.cancelled() then break end
  end
  if failed and not tostring(problem):find("planned", 1, true) and not eddy.is(problem, "timeout") then
    error(problem, 0)
  end
end

function scenarios.open_gather()
  try_all {
    function() eddy.gather(nothing, nap, nothing) end,
    function() eddy.gather { nothing, eddy.spawn(nothing), nap } end,
    function() eddy.gather(fail, rest, fail) end,
    function() eddy.settle { nothing, fail, nap } end,
    function() eddy.var():with(1, eddy.gather, nothing, nothing) end,
  }
end

function scenarios.open_race_and_any()
  try_all {
    function() eddy.race { nap, rest } end,
    function() eddy.race { fail, rest } end,
    function() eddy.any { fail, nap, rest } end,
    function() eddy.any { fail, fail } end,
  }
end

function scenarios.open_group()
  try_all {
    function() eddy.group(function(g) g:spawn(nothing) g:spawn(nap) end) end,
    function() eddy.group(function(g) g:spawn(fail) g:spawn(fail) rest() end) end,
    function() eddy.group(function(g) g:spawn(rest) nap() g:cancel "enough" end) end,
    function() local g <close> = eddy.group() g:spawn(fail) g:spawn(fail) nap() end,
    function() eddy.group(function(g) g:start(function(ready) ready(1, 2) end) end) end,
  }
end

function scenarios.open_timeout()
  try_all {
    function() eddy.timeout(0, rest) end,
    function() eddy.timeout(0, function() local _ <close> = setmetatable({}, { __close = fail }) rest() end) end,
    function() eddy.within(0, rest) end,
    function() eddy.within(0, eddy.shield, 0, rest) end,
    function() eddy.timeout(1000, function() eddy.gather(function() eddy.group(function(g) g:spawn(fail) end) end, rest) end) end,
  }
end

function scenarios.open_lists()
  try_all {
    function() for _ in eddy.as_completed { nothing, fail, nap } do nap() end end,
    function() eddy.map({ 1, 2, 3 }, nap, { limit = 2 }) end,
    function() eddy.map({ 1, 2, 3 }, fail, { limit = 2 }) end,
    function() eddy.each(eddy.gen(function(emit) emit(1) emit(2) end), nap, { limit = 1 }) end,
  }
end

for name, run in pairs(scenarios) do scenarios[name] = { run = run, has_hidden_tasks = true } end

return scenarios
