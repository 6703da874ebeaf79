-- SPDX-License-Identifier: MIT
-- Finalizers may spawn tasks while one is being made: each task gets a coroutine of its own.
local lu = ...
local eddy = require "eddy"

local TestSpawn = {}

local function spawn_from_finalizers(bodies, make)
  local ran, finalized = 0, 0
  local meta = { __gc = function()
    finalized = finalized + 1
    eddy.spawn(function() ran = ran + 1 end)
  end }
  for i = 1, bodies do
    for _ = 1, 3 do setmetatable({}, meta) end
    make(function() ran = ran + 1 end)
    if i % 50 == 0 then eddy.sleep(0) end
  end
  repeat
    local before = finalized
    collectgarbage()
    eddy.sleep(0)
  until finalized == before
  return ran, finalized
end

function TestSpawn:test_each_task_runs_once()
  local ran, finalized = spawn_from_finalizers(20000, function(body) eddy.spawn(body) end)
  lu.assertEquals(finalized, 60000)
  lu.assertEquals(ran, 20000 + finalized)
  ran, finalized = spawn_from_finalizers(20000, function(body) eddy.gather(body) end)
  lu.assertEquals(finalized, 60000)
  lu.assertEquals(ran, 20000 + finalized)
end

return { TestSpawn = TestSpawn }
