-- SPDX-License-Identifier: MIT
-- A run that is left by an error of the runtime itself (here: raised between two turns) after its
-- root had ended kept the root's coroutine for ever; before, it wrote to a stack frame that was gone.
local lu = ...
local eddy = require "eddy"
local probe = require("eddy.core").probe

local TestLeft = {}

local LEFT = {}

local function leave_at(target)
  local count = 0
  probe.watch { point = function()
    count = count + 1
    if count == target then error(LEFT) end
  end }
  local ok, err = pcall(eddy.run, function() eddy.sleep(0) eddy.spawn(eddy.sleep, 10) end)
  probe.watch()
  return ok, err
end

local function bytes()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

function TestLeft:test_outside_at_each_point()
  eddy.config { clock = "manual" }
  local points = 1
  repeat
    local ok, err = leave_at(points)
    lu.assertTrue(ok or err == LEFT)
    for _ = 1, 10 do leave_at(points) end
    local before = bytes()
    for _ = 1, 100 do leave_at(points) end
    lu.assertTrue(bytes() < before + 1, "at point " .. points)
    points = points + 1
  until ok
  eddy.config { clock = false }
  lu.assertTrue(points > 5)
end

return { TestLeft = TestLeft }
