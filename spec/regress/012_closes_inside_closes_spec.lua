-- SPDX-License-Identifier: MIT
-- Coroutines that close each other in their '<close>' variables, more of them than the C stack holds: before
-- 5.4.6 Lua does not count them, and the process died.
local lu = ...
local eddy = require "eddy"

local TestCloses = {}

function TestCloses:test_a_chain_of_closes_ends()
  local last, closed, problem = nil, 0, nil
  for _ = 1, 50000 do
    local inner = last
    last = eddy.coroutine.create(function()
      local _ <close> = setmetatable({}, { __close = function()
        closed = closed + 1
        local ok, err = pcall(eddy.coroutine.close, inner)
        if not ok then problem = err end
      end })
      eddy.coroutine.yield()
    end)
    eddy.coroutine.resume(last)
  end
  lu.assertTrue(eddy.coroutine.close(last))
  lu.assertStrContains(problem, "C stack overflow")
  lu.assertTrue(closed >= 10 and closed < 50000)
end

return { TestCloses = TestCloses }
