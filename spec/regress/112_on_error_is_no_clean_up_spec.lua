-- SPDX-License-Identifier: MIT
-- A generator of a killed task that did not end was driven out, and so was on_error, which was to hear of that.
local lu = ...
local eddy = require "eddy"

local reports, is_done = {}, false

local function spin(seconds)
  local began = os.clock()
  while os.clock() - began < seconds do end
end

local TestOnError = { config = { slice = 0.01, kill_grace = 0.01, on_error = function(err)
  if eddy.is(err, "swallowed") then return end
  reports[#reports + 1] = err
  spin(0.05)
  is_done = true
end } }

function TestOnError:setUp() reports, is_done = {}, false end

function TestOnError:test_is_not_driven_out()
  local task = eddy.spawn(function()
    local step = eddy.gen(function(emit)
      local _ <close> = setmetatable({}, { __close = function() while true do end end })
      emit(1)
    end)
    step()
    while true do pcall(eddy.sleep, 0.001) end
  end)
  eddy.sleep(0)
  task:cancel()
  lu.assertEquals({ (task:join()), task:status(), #reports, is_done }, { false, "cancelled", 1, true })
  lu.assertStrContains(tostring(reports[1]), "the clean-up of a killed task takes too long")
end

return { TestOnError = TestOnError }
