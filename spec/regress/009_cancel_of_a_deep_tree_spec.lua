-- SPDX-License-Identifier: MIT
-- Whose a cancellation is was looked for from each task up to the root: cancelling a chain of tasks, each
-- the child of the one before, took time in the square of its length (this one 15 s).
local lu = ...
local eddy = require "eddy"

local TestDeep = { clock = "manual", timeout = 8 }

function TestDeep:test_every_task_ends()
  local ended = 0
  local function descend(n)
    local _ <close> = setmetatable({}, { __close = function() ended = ended + 1 end })
    if n > 1 then eddy.spawn(descend, n - 1) end
    eddy.sleep(math.huge)
  end
  local top = eddy.spawn(descend, 30000)
  eddy.sleep(1)
  top:cancel("enough")
  local ok, err = top:join()
  lu.assertFalse(ok)
  lu.assertEquals(err.reason, "enough")
  lu.assertEquals(ended, 30000)
end

return { TestDeep = TestDeep }
