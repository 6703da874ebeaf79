-- SPDX-License-Identifier: MIT
-- The traceback of a task that stands in many coroutines, one inside the other: it was put together on the
-- stack, beyond its end.
local lu = ...
local eddy = require "eddy"

local TestTraceback = {}

function TestTraceback:test_of_a_task_in_many_coroutines()
  local function nest(n)
    if n == 0 then eddy.sleep(1) end
    return coroutine.wrap(nest)(n - 1)
  end
  local task = eddy.spawn(function() coroutine.wrap(nest)(90) end)
  eddy.sleep(0)
  local _, n = task:traceback():gsub("in a coroutine\n", "")
  lu.assertEquals(n, 91)
  task:cancel()
end

return { TestTraceback = TestTraceback }
