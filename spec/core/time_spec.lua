-- SPDX-License-Identifier: MIT
-- Sleeping, the clock, and both kinds of it. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"

local TestManual = { clock = "manual" }

function TestManual:test_s072_sleep_zero_lets_the_ready_ones_run()
  local order = {}
  for i = 1, 100 do eddy.spawn(function() order[#order + 1] = i end) end
  local from = eddy.now()
  eddy.sleep(0)
  lu.assertEquals({ #order, order[100] }, { 100, 100 })
  lu.assertEquals(eddy.now(), from)
end

function TestManual:test_s072_sleep_zero_is_a_checkpoint()
  local went_on = false
  local task = eddy.spawn(function() eddy.current():cancel() eddy.sleep(0) went_on = true end)
  task:join()
  lu.assertEquals({ went_on, task:status() }, { false, "cancelled" })
end

function TestManual:test_negative_and_past_are_zero()
  local from = eddy.now()
  eddy.sleep(-5)
  eddy.sleep_until(from - 5)
  eddy.sleep_until(-math.huge)
  lu.assertEquals(eddy.now(), from)
end

function TestManual:test_misuse()
  for _, wait in ipairs { eddy.sleep, eddy.sleep_until } do
    lu.assertErrorMsgContains("NaN", wait, 0 / 0)
    lu.assertErrorMsgContains("number expected", wait, "soon")
    lu.assertErrorMsgContains("number expected", wait)
  end
end

function TestManual:test_sleep_for_ever_waits_for_a_cancel()
  local task = eddy.spawn(eddy.sleep, math.huge)
  eddy.sleep(1e6)
  lu.assertEquals(task:status(), "waiting")
  task:cancel()
  task:join()
  lu.assertEquals(task:status(), "cancelled")
end

function TestManual:test_s073_many_timers_and_their_removal()
  local before = eddy.stats().timers
  local tasks, fired = {}, 0
  for i = 1, 5000 do
    tasks[i] = eddy.spawn(function() eddy.sleep((i * 7919) % 5003 + 1) fired = fired + 1 end)
  end
  eddy.sleep(0)
  lu.assertEquals(eddy.stats().timers, before + 5000)
  for i = 1, 5000, 2 do tasks[i]:cancel() end
  lu.assertEquals(eddy.stats().timers, before + 2500)
  for i = 2, 5000, 2 do tasks[i]:await() end
  lu.assertEquals({ fired, eddy.stats().timers }, { 2500, before })
end

function TestManual:test_s076_same_order_as_in_real_time()
  local order = {}
  for _, d in ipairs { 30, 10, 20, 10 } do eddy.spawn(function() eddy.sleep(d) order[#order + 1] = d end) end
  eddy.sleep(100)
  lu.assertEquals(order, { 10, 10, 20, 30 })
end

function TestManual:test_s071_never_early()
  for i = 1, 10000 do
    local d = (i % 50) * 0.001
    local t = eddy.now()
    eddy.sleep(d)
    lu.assertTrue(eddy.now() - t >= d)
  end
end

local TestReal = {}

function TestReal:test_now_never_goes_back()
  local last = eddy.now()
  for _ = 1, 1000 do
    local now = eddy.now()
    lu.assertTrue(now >= last)
    last = now
  end
end

function TestReal:test_sleep_until()
  local t = eddy.now() + 0.003
  eddy.sleep_until(t)
  lu.assertTrue(eddy.now() >= t)
end

function TestReal:test_outside_deadline_and_remaining()
  lu.assertEquals({ eddy.deadline(), eddy.remaining(), eddy.cancelled() }, { math.huge, math.huge, false })
end

return { TestManual = TestManual, TestReal = TestReal }
