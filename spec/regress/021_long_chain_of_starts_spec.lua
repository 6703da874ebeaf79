-- SPDX-License-Identifier: MIT
-- Cancelling a group:start cancelled its child at once, which cancelled the start that this was in, and so
-- on: in the square of the length of the chain, and until the C stack was used up.
local lu = ...
local eddy = require "eddy"

local TestStarts = { clock = "manual", timeout = 15 }

function TestStarts:test_all_end()
  local N, ended = 60000, 0
  local function level(n)
    return function()
      local _ <close> = setmetatable({}, { __close = function() ended = ended + 1 end })
      if n == N then return eddy.sleep(math.huge) end
      local group <close> = eddy.group()
      group:start(level(n + 1))
    end
  end
  local top = eddy.spawn(level(1))
  eddy.sleep(1)
  top:cancel "enough"
  local ok, err = top:join()
  lu.assertFalse(ok)
  lu.assertEquals(err.reason, "enough")
  lu.assertEquals(ended, N)
end

-- The child of a start may belong to another task's group: then the tree does not lead to it.
function TestStarts:test_in_a_group_elsewhere()
  local group, reason
  local owner = eddy.spawn(function()
    eddy.group(function(mine)
      group = mine
      eddy.sleep(10)
    end)
  end)
  eddy.sleep(1)
  local starter = eddy.spawn(function()
    group:start(function()
      local ok, err = pcall(eddy.sleep, 1000)
      reason = not ok and err.reason
      error(err, 0)
    end)
  end)
  eddy.sleep(1)
  starter:cancel()
  lu.assertFalse((starter:join()))
  lu.assertEquals({ starter:status(), reason }, { "cancelled", "the owner ended" })
  lu.assertTrue((owner:join()))
end

return { TestStarts = TestStarts }
