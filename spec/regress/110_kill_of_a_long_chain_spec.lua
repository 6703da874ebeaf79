-- SPDX-License-Identifier: MIT
-- A task that was killed without any cancellation, as one that has used up what it may, took a chain of tasks
-- with it, each of which looked for the reason among all those above: half a minute and more for 100 000 of them.
local lu = ...
local eddy = require "eddy"

local TestLongChain = { config = { on_error = function() end } }

local LENGTH = 100000

function TestLongChain:test_ends()
  local last, is_built = nil, eddy.event()
  local function chain(n)
    if n > 0 then eddy.spawn(chain, n - 1)
    else
      last = eddy.current()
      is_built:set()
    end
    eddy.sleep(1e6)
  end
  local task = eddy.spawn_with({ cpu = 0.01 }, function()
    eddy.spawn(chain, LENGTH)
    is_built:wait()
    while true do end
  end)
  local _, err = task:join()
  lu.assertEquals({ err.kind, last:status() }, { "limit", "cancelled" })
end

return { TestLongChain = TestLongChain }
