-- SPDX-License-Identifier: MIT
-- A shield of no seconds, entered in a cancelled block, let waits pass until the loop next looked at timers.
local lu = ...
local eddy = require "eddy"

local TestShield = { clock = "manual" }

local function in_cancelled_block(fn)
  eddy.group(function(group)
    group:cancel "why"
    fn()
  end)
end

function TestShield:test_the_first_wait_raises()
  for _, seconds in ipairs { 0, -1 } do
    local entered, reasons = false, {}
    in_cancelled_block(function()
      eddy.shield(seconds, function()
        entered = true
        for i = 1, 2 do reasons[i] = select(2, pcall(eddy.sleep, 0)).reason end
        lu.assertTrue(eddy.cancelled())
      end)
    end)
    lu.assertEquals({ entered, reasons }, { true, { "why", "why" } })
  end
end

function TestShield:test_clean_up_without_grace()
  local seen
  in_cancelled_block(function()
    local _ <close> = eddy.defer(function() seen = select(2, pcall(eddy.sleep, 0)).kind end, 0)
    eddy.sleep(1)
  end)
  lu.assertEquals(seen, "cancelled")
end

function TestShield:test_without_a_cancel_it_does_nothing()
  lu.assertEquals(eddy.shield(0, function() eddy.sleep(5) return "whole" end), "whole")
end

return { TestShield = TestShield }
