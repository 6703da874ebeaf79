-- SPDX-License-Identifier: MIT
-- Scenarios of awaits inside ordinary coroutines, and of what belongs to a task. See spec/sweep/run.lua.
local eddy = require "eddy"

local scenarios = {}

local coroutine = eddy.coroutine

-- As in stock Lua a coroutine that fails or is left is closed by who made it, or never.
local function closing(co)
  return setmetatable({}, { __close = function() coroutine.close(co) end })
end

local function resume(co, ...)
  local ok, value = coroutine.resume(co, ...)
  if not ok then error(value, 0) end
  return value
end

-- For a generic `for`: a coroutine that waits between what it yields, and what closes it.
local function ticks(s, n)
  local co = coroutine.create(function()
    local _ <close> = s.guard()
    for i = 1, n do
      eddy.sleep(1)
      coroutine.yield(i)
    end
  end)
  return function() return (resume(co)) end, nil, nil, closing(co)
end

function scenarios.generator(s)
  local sum = 0
  for i in ticks(s, 3) do sum = sum + i end
  assert(sum == 6)
end

function scenarios.coroutines_in_coroutines(s)
  local function nest(depth)
    local _ <close> = s.guard()
    if depth == 0 then return eddy.sleep(1) end
    local inner = coroutine.create(nest)
    local _ <close> = closing(inner)
    resume(inner, depth - 1)
  end
  nest(4)
end

function scenarios.wrapped(s)
  local fn = coroutine.wrap(function(a)
    local _ <close> = s.guard()
    eddy.sleep(1)
    return a + 1
  end)
  assert(fn(1) == 2)
end

function scenarios.tasks_of_coroutines(s)
  eddy.group(function(group)
    for _ = 1, 2 do
      group:spawn(function()
        for _ in ticks(s, 2) do
          eddy.gather(function() eddy.sleep(1) end, function() for _ in ticks(s, 1) do eddy.sleep(0) end end)
        end
      end)
    end
    eddy.within(2, function() for _ in ticks(s, 9) do eddy.sleep(1) end end)
  end)
end

function scenarios.block_in_a_coroutine(s)
  local co = coroutine.wrap(function()
    eddy.within(2, function()
      local _ <close> = s.guard()
      eddy.spawn(function() local _ <close> = s.guard() eddy.sleep(5) end)
      eddy.sleep(3)
    end)
    eddy.shield(2, function() local _ <close> = s.guard() eddy.sleep(1) end)
    return "done"
  end)
  assert(co() == "done")
end

function scenarios.error_in_a_coroutine(s)
  local co = coroutine.create(function()
    local _ <close> = s.guard()
    eddy.sleep(1)
    error("planned", 0)
  end)
  local _ <close> = closing(co)
  local ok = coroutine.resume(co)
  assert(not ok)
end

function scenarios.closed_between_two_yields(s)
  local co = coroutine.create(function()
    local _ <close> = s.guard()
    eddy.sleep(1)
    coroutine.yield "first"
    eddy.sleep(1)
  end)
  local _ <close> = closing(co)
  resume(co)
  eddy.sleep(1)
end

function scenarios.task_local_variables(s)
  local var = eddy.var "default"
  var:with("outer", function()
    eddy.gather(
      function() local _ <close> = s.guard() eddy.sleep(1) assert(var:get() == "outer") end,
      function() var:with("inner", function() local _ <close> = s.guard() eddy.sleep(2) assert(var:get() == "inner") end) end)
  end)
  assert(var:get() == "default")
end

return scenarios
