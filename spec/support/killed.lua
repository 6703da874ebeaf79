-- SPDX-License-Identifier: MIT
-- Tasks that are killed while they wait, or in the turn in which they are handed something. A kill
-- comes to a task that catches its cancellation 1024 times; its children, behind shields, go with it.
-- The class of such a test needs `config = { on_error = function() end }`.
local eddy = require "eddy"

local killed = {}

--- The deliveries around which the kill happens: with each of them as `at` one is in its very turn.
killed.TURNS = { 1021, 1022, 1023, 1024, 1025 }

--- Start a task for each of `bodies`, let all of them wait, then kill them; `act` is called once, when
--- the `at`-th cancellation of their parent is delivered. Returns when they are gone.
---@param bodies function[]
---@param act function
---@param at integer
function killed.around(bodies, act, at)
  local n, doomed = 0
  local actor = eddy.spawn(function()
    while n < at do eddy.sleep(0) end
    act()
  end)
  doomed = eddy.spawn(function()
    for i, body in ipairs(bodies) do eddy.spawn(function() eddy.shield(math.huge, body, i) end) end
    while true do
      n = n + 1
      pcall(eddy.sleep, 1000)
    end
  end)
  eddy.sleep(0)
  eddy.sleep(0)
  n = 0
  doomed:cancel()
  doomed:join()
  n = 1e9
  actor:await()
  assert(doomed:status() == "cancelled")
end

return killed
