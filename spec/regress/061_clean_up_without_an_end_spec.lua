-- SPDX-License-Identifier: MIT
-- Clean-up that never ends, in each of many coroutines of a killed task: only that which ran when the signal
-- came was stopped, and the signals come at growing distances.
local lu = ...
local eddy = require "eddy"

local function forever() while true do end end

local TestCleanUp = {}

function TestCleanUp:test_in_many_coroutines()
  local closed = 0
  local function nest(n)
    local _ <close> = setmetatable({}, { __close = function()
      closed = closed + 1
      while true do pcall(forever) end
    end })
    if n > 1 then coroutine.wrap(nest)(n - 1) end
    forever()
  end
  local began = os.clock()
  local ok, err = eddy.spawn_with({ cpu = 0.02 }, nest, 40):join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cpu"), err)
  lu.assertTrue(closed >= 1 and closed <= 40, closed)
  lu.assertTrue(os.clock() - began < 4)
end

return { TestCleanUp = TestCleanUp }
