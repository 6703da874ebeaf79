-- SPDX-License-Identifier: MIT
-- Cancellation, deadlines, groups. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"

local function cancelled(fn, reason)
  local task = eddy.spawn(fn)
  eddy.sleep(0)
  task:cancel(reason)
  return task
end

local TestCancel = {}

function TestCancel:test_s029_every_wait_raises_until_the_scope_is_left()
  local raised = 0
  cancelled(function()
    for _ = 1, 5 do if not pcall(eddy.sleep, 0) then raised = raised + 1 end end
  end):join()
  lu.assertTrue(raised >= 4)
  local event = eddy.event()
  event:set()
  local immediate
  cancelled(function()
    pcall(eddy.sleep, 1000)
    immediate = pcall(event.wait, event)   -- would not block
  end):join()
  lu.assertFalse(immediate)
end

function TestCancel:test_s030_gone_with_its_scope()
  lu.assertFalse(eddy.within(0, eddy.sleep, 1000))
  eddy.sleep(0)
  eddy.group(function(group) group:cancel() end)
  eddy.sleep(0)
end

function TestCancel:test_s033_the_outer_one_counts()
  local inner_went_on = false
  local result = table.pack(eddy.group(function(outer)
    eddy.group(function(inner)
      inner:cancel "inner"
      outer:cancel "outer"
      local _, err = pcall(eddy.sleep, 0)
      lu.assertEquals(err.reason, "outer")
      error(err, 0)
    end)
    inner_went_on = true
  end))
  lu.assertEquals(result.n, 0)
  lu.assertFalse(inner_went_on)
end

function TestCancel:test_s035_s045_shield()
  local inside, reason
  local task = cancelled(function()
    eddy.shield(math.huge, function() eddy.sleep(0) eddy.sleep(0) inside = eddy.cancelled() end)
    local _, err = pcall(eddy.sleep, 0)
    reason = err.reason
    error(err, 0)
  end, "why")
  task:join()
  lu.assertFalse(inside)
  lu.assertEquals(reason, "why")
  lu.assertEquals(task:status(), "cancelled")
end

function TestCancel:test_s043_reaches_all_descendants()
  local hits = 0
  local function leaf() local ok = pcall(eddy.sleep, 1000) if not ok then hits = hits + 1 end end
  local root = eddy.spawn(function()
    for _ = 1, 3 do
      eddy.spawn(function() for _ = 1, 3 do eddy.spawn(leaf) end eddy.sleep(1000) end)
    end
    eddy.sleep(1000)
  end)
  for _ = 1, 3 do eddy.sleep(0) end
  root:cancel()
  eddy.sleep(0)
  lu.assertEquals(hits, 9)
  root:join()
end

function TestCancel:test_s044_spawned_while_cancelled_never_runs()
  local late
  cancelled(function()
    pcall(eddy.sleep, 1000)
    late = eddy.spawn(function() error "ran" end)
  end):join()
  lu.assertEquals(late:status(), "cancelled")
end

function TestCancel:test_s046_swallowing_ends()
  local turns = 0
  local task = eddy.spawn(function() while true do pcall(eddy.sleep, 1) end end)
  eddy.sleep(0)
  task:cancel()
  while task:status() ~= "cancelled" and turns < 5000 do turns = turns + 1 eddy.sleep(0) end
  lu.assertTrue(turns >= 1000 and turns < 1100)
end
TestCancel.config = { on_error = function() end }

function TestCancel:test_s047_kill_runs_close_once()
  local log = {}
  local function closing(name)
    return setmetatable({}, { __close = function()
      log[#log + 1] = name
      local ok, err = pcall(eddy.sleep, 0)
      lu.assertFalse(ok)
      lu.assertStrContains(err, "being killed")
      error(name)
    end })
  end
  local task = eddy.spawn(function()
    local _ <close> = closing "outer"
    local _ <close> = closing "inner"
    while true do pcall(eddy.sleep, 1) end
  end)
  eddy.sleep(0)
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertEquals(log, { "inner", "outer" })
end

function TestCancel:test_s050_cancelled_tells()
  local seen
  cancelled(function() seen = eddy.cancelled() pcall(eddy.sleep, 9) seen = { seen, eddy.cancelled() } end):join()
  lu.assertEquals(seen, { false, true })
end

function TestCancel:test_s052_deep_groups()
  local function nest(n)
    if n == 0 then return "bottom" end
    local group <close> = eddy.group()
    group:spawn(function() end)
    return (nest(n - 1))
  end
  lu.assertEquals(nest(150), "bottom")
  local ok = pcall(function()
    local function forms(n) return n == 0 and "bottom" or (eddy.group(function() return (forms(n - 1)) end)) end
    lu.assertEquals(forms(100), "bottom")
    return forms(1000)
  end)
  lu.assertFalse(ok)
  local groups = {}
  for i = 1, 10000 do groups[i] = eddy.group() end
  for i = 10000, 1, -1 do local _ <close> = groups[i] end
end

function TestCancel:test_pcall_lets_cancellation_through()
  local passed = true
  cancelled(function() eddy.pcall(eddy.sleep, 1000) passed = false end):join()
  lu.assertTrue(passed)
  local victim = cancelled(function() eddy.sleep(1000) end)
  lu.assertFalse((eddy.pcall(victim.await, victim)))   -- somebody else's: caught
  lu.assertEquals({ eddy.pcall(function(...) return ... end, 1, 2) }, { true, 1, 2 })
end

local TestTime = { clock = "manual" }

function TestTime:test_s055_timeout()
  local ok, err = eddy.pcall(eddy.timeout, 5, eddy.sleep, 1000)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "timeout"))
  lu.assertFalse(eddy.cancelled())
end

function TestTime:test_inside_it_is_a_cancellation()
  local inner
  eddy.within(1, function() inner = select(2, pcall(eddy.sleep, 9)) error(inner, 0) end)
  lu.assertEquals({ inner.kind, inner.reason }, { "cancelled", "timeout" })
end

function TestTime:test_s056_results_and_no_timer_left()
  local before = eddy.stats().timers
  lu.assertEquals(table.pack(eddy.timeout(5, function(...) eddy.sleep(1) return ... end, 1, nil, 3)), { 1, nil, 3, n = 3 })
  lu.assertEquals(eddy.stats().timers, before)
end

function TestTime:test_s057_zero_and_negative()
  for _, seconds in ipairs { 0, -1 } do
    local began = false
    lu.assertFalse(eddy.within(seconds, function() began = true eddy.sleep(0) end))
    lu.assertTrue(began)
  end
end

function TestTime:test_s058_never_and_misuse()
  lu.assertEquals(eddy.timeout(math.huge, function() return 1 end), 1)
  lu.assertEquals(eddy.timeout(nil, function() return 1 end), 1)
  lu.assertErrorMsgContains("NaN", eddy.timeout, 0 / 0, print)
  lu.assertErrorMsgContains("number expected", eddy.timeout, "soon", print)
  lu.assertErrorMsgContains("function expected", eddy.timeout, 1, "print")
end

function TestTime:test_s059_s060_errors()
  lu.assertEquals({ pcall(eddy.timeout, 1, error, "mine", 0) }, { false, "mine" })
  local ok, err = pcall(eddy.timeout, 1, function()
    pcall(eddy.sleep, 9)
    error(eddy.error { kind = "io", message = "clean-up" })
  end)
  lu.assertFalse(ok)
  lu.assertEquals(err.kind, "io")
  lu.assertEquals(err.cause.kind, "timeout")
end

function TestTime:test_s061_outer_cancel_is_no_timeout()
  local task = cancelled(function() eddy.timeout(50, eddy.sleep, 1000) end)
  task:join()
  lu.assertEquals(task:status(), "cancelled")
end

function TestTime:test_s063_s064_nested_deadlines()
  local inner_said
  local ok, err = pcall(eddy.timeout, 1, function() inner_said = pcall(eddy.timeout, 2, eddy.sleep, 9) eddy.sleep(9) end)
  lu.assertFalse(ok)
  lu.assertEquals(err.kind, "timeout")
  lu.assertFalse(inner_said)
  local equal = select(2, pcall(eddy.timeout, 1, function() return eddy.within(1, eddy.sleep, 9), "went on" end))
  lu.assertEquals(equal.kind, "timeout")
end

function TestTime:test_s067_swallowed_expiry_returns()
  lu.assertEquals(eddy.timeout(1, function() pcall(eddy.sleep, 9) return "kept" end), "kept")
end

function TestTime:test_deadline_covers_children()
  local child
  lu.assertFalse(eddy.within(1, function() child = eddy.spawn(eddy.sleep, 1000) end))
  lu.assertEquals(child:status(), "cancelled")
end

function TestTime:test_s070_deadline_and_remaining()
  local now = eddy.now()
  eddy.timeout(10, function()
    eddy.timeout(20, function()
      lu.assertAlmostEquals(eddy.deadline(), now + 10, 1e-6)
      lu.assertAlmostEquals(eddy.remaining(), 10, 1e-6)
    end)
    eddy.shield(1, function() lu.assertEquals(eddy.deadline(), math.huge) end)
  end)
  lu.assertEquals(eddy.deadline(), math.huge)
end

function TestTime:test_s045_shield_ends()
  local from = eddy.now()
  local task = cancelled(function() eddy.shield(3, eddy.sleep, 1000) end)
  task:join()
  lu.assertAlmostEquals(eddy.now() - from, 3, 0.001)
  lu.assertEquals(task:status(), "cancelled")
end

function TestTime:test_s073_order_of_timers()
  local order = {}
  eddy.group(function(group)
    for i = 1, 300 do group:spawn(function() eddy.sleep((i * 7919) % 100 + 1) order[#order + 1] = { (i * 7919) % 100, i } end) end
  end)
  for i = 2, #order do
    local a, b = order[i - 1], order[i]
    lu.assertTrue(a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]))
  end
end

function TestTime:test_s076_an_hour_of_sleeps()
  local began = os.clock()
  for _ = 1, 3600 do eddy.sleep(1) end
  lu.assertTrue(os.clock() - began < 1)
end

function TestTime:test_timers_fire_while_others_are_always_ready()
  local stop = false
  eddy.sleep(3600)   -- the manual clock is far ahead of the real one
  eddy.spawn(function() while not stop do eddy.sleep(0) end end)
  lu.assertTrue(eddy.within(1, eddy.sleep, 0))
  stop = true
end

function TestTime:test_sleep_until()
  local t = eddy.now() + 5
  eddy.sleep_until(t)
  lu.assertTrue(eddy.now() >= t)
  eddy.sleep_until(0)
end

local TestRealTime = {}

function TestRealTime:test_s071_never_early()
  for i = 0, 200 do
    local d = (i % 5) * 0.0003
    local t = eddy.now()
    eddy.sleep(d)
    lu.assertTrue(eddy.now() - t >= d)
  end
end

function TestRealTime:test_deadline_is_not_missed_while_others_run()
  local stop = false
  eddy.spawn(function() while not stop do eddy.sleep(0) end end)
  lu.assertFalse(eddy.within(0.01, eddy.sleep, 1000))
  stop = true
end

return { TestCancel = TestCancel, TestTime = TestTime, TestRealTime = TestRealTime }
