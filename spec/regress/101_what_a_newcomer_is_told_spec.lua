-- SPDX-License-Identifier: MIT
-- Reports that hid what mattered: a deadlock told of "unfinished" items to who had never heard of them, and not
-- that the queue was not closed; a failure ended with the stack of a body that was over, which has no line.
local lu = ...
local eddy = require "eddy"

local TestTold = { clock = "manual" }

local function deadlock(fn)
  local ok, err = pcall(eddy.run, fn)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"), tostring(err))
  return err.message
end

function TestTold:test_outside_a_queue_that_nobody_closed()
  lu.assertStrContains(deadlock(function()
    local queue = eddy.queue()
    queue:put "item"
    for _ in queue:iter() do end
  end), "queue:get of an empty queue that nobody has closed")
  lu.assertStrContains(deadlock(function()
    local queue = eddy.queue(1)
    for i = 1, 2 do queue:put(i) end
  end), "queue:put of a full queue with 1 item")
  lu.assertStrContains(deadlock(function() eddy.queue(0):put(1) end),
    "queue:put of a queue without room, which needs somebody to get")
  lu.assertStrContains(deadlock(function()
    local queue = eddy.queue()
    for i = 1, 2 do queue:put(i) end
    queue:get()
    queue:join()
  end), "queue:join of a queue with 1 item, 2 without task_done")
end

function TestTold:test_a_body_that_is_over()
  local owner = eddy.spawn_with({ name = "owner" }, function()
    eddy.spawn(function() eddy.sleep(1) error "broken" end)
  end)
  owner:join()
  local text = owner:traceback()
  lu.assertStrContains(text, "101_what_a_newcomer_is_told_spec.lua")
  lu.assertStrContains(text, "awaited by owner")
  lu.assertNil(text:find("awaited by owner\nstack traceback", 1, true))
  local waiting = eddy.spawn_with({ name = "waiting" }, function() eddy.gather(function() error "broken" end) end)
  waiting:join()
  lu.assertStrContains(waiting:traceback(), "awaited by waiting\nstack traceback")
end

return { TestTold = TestTold }
