-- SPDX-License-Identifier: MIT
-- A group that a script drops without closing it was collected while its block was still open; the
-- end of the block then wrote to it. (Seen by a sanitizer only.)
local lu = ...
local eddy = require "eddy"

local TestCollected = {}

function TestCollected:test_dropped_in_a_block()
  local ended = false
  local ok = pcall(eddy.shield, 1, function()
    do
      local group = eddy.group()
      group:spawn(function()
        local _ <close> = setmetatable({}, { __close = function() ended = true end })
        eddy.sleep(100)
      end)
      eddy.sleep(0)
    end
    local pieces = {}   -- over the dead variable on the stack
    for i = 1, 100 do pieces[i] = { #pieces } end
    lu.assertEquals(#pieces, 100)
    collectgarbage()
    collectgarbage()
  end)
  lu.assertTrue(ok)
  lu.assertTrue(ended)
end
TestCollected.clock = "manual"

return { TestCollected = TestCollected }
