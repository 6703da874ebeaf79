-- SPDX-License-Identifier: MIT
-- A task that had bound nothing itself did not look for what a coroutine had bound that it took up from
-- another task: the variable had its default value there.
local lu = ...
local eddy = require "eddy"

local TestVar = {}

local function new_coroutine(var)
  return eddy.coroutine.wrap(function()
    var:with("bound", function()
      eddy.coroutine.yield(var:get())
      eddy.coroutine.yield(var:get())
      eddy.coroutine.yield(eddy.spawn(function() return var:get() end):await())
    end)
  end)
end

local function in_a_task(fn) return eddy.spawn(fn):await() end

function TestVar:test_in_another_task()
  local var = eddy.var("default")
  local step = new_coroutine(var)
  lu.assertEquals(in_a_task(step), "bound")
  lu.assertEquals(in_a_task(step), "bound")
  lu.assertEquals(in_a_task(step), "bound")   -- what it spawns as well
  lu.assertEquals(in_a_task(function() return var:get() end), "default")
  lu.assertEquals(var:get(), "default")
end

return { TestVar = TestVar }
