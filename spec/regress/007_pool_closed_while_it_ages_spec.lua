-- SPDX-License-Identifier: MIT
-- The task that closes what has lain idle too long went on, for up to 'idle' seconds, when the pool was
-- closed and closing its entries took a while.
local lu = ...
local eddy = require "eddy"

local TestPool = { clock = "manual" }

function TestPool:test_nothing_goes_on_behind_a_closed_pool()
  local pool = eddy.pool {
    open = function() return {} end,
    close = function() eddy.sleep(0.1) end,
    idle = 100,
  }
  local slots = {}
  for i = 1, 3 do slots[i] = pool:get() end
  for i = 1, 3 do slots[i]:release() end
  pool:close()
  eddy.sleep(1)
  lu.assertEquals(eddy.stats().tasks, 1)
  lu.assertEquals(eddy.stats().timers, 0)
end

return { TestPool = TestPool }
