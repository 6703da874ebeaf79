-- SPDX-License-Identifier: MIT
-- Blocks (group, timeout, within, shield): corner cases. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function closing(fn) return setmetatable({}, { __close = fn }) end

-- A task that has had its first turn and was cancelled then.
local function cancelled(fn, reason)
  local task = eddy.spawn(fn)
  turns(2)
  task:cancel(reason)
  return task
end

local function ignore() end

local TestScope = { clock = "manual" }

function TestScope:test_s031_cancelled_before_entry()
  local reached, inner = false, nil
  local task = eddy.spawn(function()
    eddy.current():cancel "early"
    eddy.group(function()
      reached = true
      inner = select(2, pcall(eddy.sleep, 0))
      error(inner, 0)
    end)
    error "not reached"
  end)
  task:join()
  lu.assertTrue(reached)
  lu.assertEquals(inner.reason, "early")
  lu.assertEquals(task:status(), "cancelled")
end

function TestScope:test_s034_outer_then_inner_while_it_propagates()
  local after_inner = false
  eddy.group(function(outer)
    eddy.group(function(inner)
      local _ <close> = closing(function() inner:cancel() end)
      outer:cancel()
      eddy.sleep(0)
    end)
    after_inner = true
  end)
  lu.assertFalse(after_inner)
  lu.assertFalse(eddy.cancelled())
end

function TestScope:test_s035_a_shield_does_not_hide_what_is_inside()
  local from, inner = eddy.now(), nil
  eddy.shield(math.huge, function()
    inner = eddy.within(2, eddy.sleep, 1000)
    eddy.group(function(group) group:cancel() eddy.sleep(1000) end)
  end)
  lu.assertFalse(inner)
  lu.assertAlmostEquals(eddy.now() - from, 2, 0.001)
end

function TestScope:test_s036_s045_shield_in_a_cancelled_scope_wakes_the_sleeper()
  local from, err = eddy.now(), nil
  local task = cancelled(function()
    pcall(eddy.sleep, 1000)
    eddy.shield(3, function()
      err = select(2, pcall(eddy.sleep, 1000))
      error(err, 0)
    end)
  end, "why")
  task:join()
  lu.assertAlmostEquals(eddy.now() - from, 3, 0.001)
  lu.assertEquals({ err.kind, err.reason }, { "cancelled", "why" })
end

function TestScope:test_s037_shield_in_close_absorbs_nothing()
  local cleaned, after = false, false
  local task = cancelled(function()
    local _ <close> = closing(function()
      eddy.shield(5, eddy.sleep, 1)
      cleaned = true
    end)
    eddy.sleep(1000)
    after = true
  end)
  task:join()
  lu.assertEquals({ cleaned, after, task:status() }, { true, false, "cancelled" })
end

function TestScope:test_shields_nest()
  local from = eddy.now()
  cancelled(function() eddy.shield(2, eddy.shield, 3, eddy.sleep, 1000) end):join()
  lu.assertAlmostEquals(eddy.now() - from, 5, 0.001)   -- the inner one counts from what comes through
end

function TestScope:test_a_deadline_outside_waits_for_the_shield()
  local finished = false
  local from = eddy.now()
  lu.assertFalse(eddy.within(1, function()
    eddy.shield(5, function() eddy.sleep(3) finished = true end)
    eddy.sleep(0)
  end))
  lu.assertTrue(finished)
  lu.assertAlmostEquals(eddy.now() - from, 3, 0.001)
end

function TestScope:test_s046_swallowing_inside_blocks_ends_too()
  local bodies = {
    within = function() pcall(eddy.within, 1, eddy.sleep, 1) end,
    group = function() pcall(eddy.group, function() eddy.sleep(1) end) end,
    close = function() pcall(function() local _ <close> = eddy.group() eddy.sleep(1) end) end,
  }
  for name, body in pairs(bodies) do
    local stop = false
    local task = cancelled(function() while not stop do body() end end)
    for _ = 1, 2500 do
      if task:status() == "cancelled" then break end
      eddy.sleep(0)
    end
    local status = task:status()
    stop = true
    task:join()
    lu.assertEquals(name .. " " .. status, name .. " cancelled")
  end
end

function TestScope:test_s046_others_keep_running()
  local others = 0
  local task = cancelled(function() while true do pcall(eddy.sleep, 1) end end)
  eddy.spawn(function()
    while task:status() ~= "cancelled" do others = others + 1 eddy.sleep(0) end
  end)
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cancelled"))
  lu.assertTrue(others >= 920 and others <= 1100, others)
end

function TestScope:test_s047_a_close_that_waits_is_not_run_again_by_the_kill()
  local log = {}
  local task = cancelled(function()
    local _ <close> = closing(function() log[#log + 1] = "outer" end)
    local _ <close> = closing(function()
      log[#log + 1] = "inner"
      while true do pcall(eddy.sleep, 1) end
    end)
    eddy.sleep(1000)
  end)
  task:join()
  lu.assertEquals(log, { "inner", "outer" })
end

function TestScope:test_s047_a_killed_task_opens_and_spawns_nothing()
  local said = {}
  local task = cancelled(function()
    local _ <close> = closing(function()
      for i, try in ipairs { { eddy.spawn, ignore }, { eddy.group }, { eddy.group, ignore }, { eddy.gather, ignore },
          { eddy.timeout, 1, ignore }, { eddy.shield, 1, ignore } } do
        said[i] = pcall(table.unpack(try))
      end
    end)
    while true do pcall(eddy.sleep, 1) end
  end)
  task:join()
  lu.assertEquals(said, { false, false, false, false, false, false })
end

function TestScope:test_s048_a_killed_coroutine_is_not_used_again()
  cancelled(function()
    xpcall(function() while true do pcall(eddy.sleep, 1) end end, function() return "stale handler" end)
  end):join()
  for i = 1, 1000 do
    local _, err = eddy.spawn(function() error("message " .. i, 0) end):join()
    lu.assertEquals(err, "message " .. i)
  end
end

function TestScope:test_s052_190_nested_forms_and_10000_nested_groups()
  local function forms(n) return n == 0 and "bottom" or (eddy.group(function() return (forms(n - 1)) end)) end
  lu.assertEquals(eddy.spawn(forms, 180):await(), "bottom")
  local ok, err = eddy.spawn(pcall, forms, 1000):await()
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(err), "stack overflow")
  local function nest(n)
    if n == 0 then return "bottom" end
    local group <close> = eddy.group()
    group:spawn(ignore)
    local result = nest(n - 1)
    return result
  end
  lu.assertEquals(eddy.spawn(nest, 10000):await(), "bottom")
end

TestScope.config = { on_error = ignore }

local TestTimeout = { clock = "manual" }

function TestTimeout:test_s053_s064_equal_deadlines_fire_outer_first()
  local inner_ok, inner_err
  local ok, err = pcall(eddy.timeout, 1, function()
    inner_ok, inner_err = pcall(eddy.timeout, 1, eddy.sleep, 9)
    error(inner_err, 0)
  end)
  lu.assertEquals({ ok, inner_ok }, { false, false })
  lu.assertEquals({ err.kind, inner_err.kind }, { "timeout", "cancelled" })
end

function TestTimeout:test_s062_cancel_and_expiry_in_one_turn()
  local task = eddy.spawn(function() eddy.timeout(0, eddy.sleep, 1000) end)
  turns(1)   -- expired, but the error is not delivered yet
  task:cancel "outside"
  local ok, err = task:join()
  lu.assertEquals({ ok, err.kind, err.reason, task:status() }, { false, "cancelled", "outside", "cancelled" })
end

function TestTimeout:test_s065_past_both_deadlines()
  local inner, went_on
  lu.assertFalse(eddy.within(2, function()
    inner = eddy.within(1, function() eddy.shield(math.huge, eddy.sleep, 5) eddy.sleep(0) end)
    went_on = true
  end))
  lu.assertNil(inner)     -- the outer deadline is past as well and counts
  lu.assertNil(went_on)
end

function TestTimeout:test_s068_within_keeps_results()
  lu.assertEquals(table.pack(eddy.within(1, function() return nil, 2, nil end)), { true, nil, 2, nil, n = 4 })
  lu.assertEquals(table.pack(eddy.within(1, ignore)), { true, n = 1 })
  lu.assertEquals({ pcall(eddy.within, 1, error, "mine", 0) }, { false, "mine" })
end

function TestTimeout:test_s069_timeout_in_close_needs_a_shield()
  local bare, shielded
  cancelled(function()
    local _ <close> = closing(function()
      bare = pcall(eddy.timeout, 5, eddy.sleep, 1)
      shielded = pcall(eddy.shield, 9, eddy.timeout, 5, eddy.sleep, 1)
    end)
    eddy.sleep(1000)
  end):join()
  lu.assertEquals({ bare, shielded }, { false, true })
end

function TestTimeout:test_s056_no_timer_is_left_on_any_way_out()
  local before = eddy.stats().timers
  eddy.timeout(50, ignore)
  pcall(eddy.timeout, 50, error, "x")
  eddy.within(1, eddy.sleep, 50)
  eddy.shield(50, ignore)
  cancelled(function() eddy.timeout(50, eddy.shield, 60, eddy.sleep, 1) end):join()
  cancelled(function() eddy.timeout(50, eddy.sleep, 1000) end):join()
  lu.assertEquals(eddy.stats().timers, before)
end

local TestLeftOpen = { clock = "manual" }

function TestLeftOpen:test_a_group_left_open_in_a_block_ends_with_it()
  local member
  local ok, result = pcall(eddy.group, function()
    local group = eddy.group()   -- held by no <close> variable
    member = group:spawn(eddy.sleep, 1000)
    turns(1)
    return "fine"
  end)
  lu.assertEquals({ ok, tostring(result) }, { true, "fine" })   -- its end is nobody's failure
  lu.assertEquals(member:status(), "cancelled")
end

function TestLeftOpen:test_a_group_left_open_in_a_task_ends_with_it()
  local member
  local task = eddy.spawn(function()
    member = eddy.group():spawn(eddy.sleep, 1000)
    turns(1)
    return "fine"
  end)
  lu.assertEquals(task:await(), "fine")
  lu.assertEquals(member:status(), "cancelled")
end

local TestCloseForm = { clock = "manual" }

function TestCloseForm:test_a_member_that_fails_after_the_cancel_interrupts_the_body()
  local from = eddy.now()
  local ok, err = pcall(function()
    local group <close> = eddy.group()
    group:spawn(function() pcall(eddy.sleep, 1000) error("clean-up", 0) end)
    turns(1)
    group:cancel()
    eddy.sleep(500)
  end)
  lu.assertEquals({ ok, err }, { false, "clean-up" })
  lu.assertAlmostEquals(eddy.now() - from, 0, 0.001)
end

function TestCloseForm:test_outer_cancel_reaches_body_and_members()
  local member
  local task = cancelled(function()
    local group <close> = eddy.group()
    member = group:spawn(eddy.sleep, 1000)
    eddy.sleep(1000)
  end)
  task:join()
  lu.assertEquals({ task:status(), member:status() }, { "cancelled", "cancelled" })
end

function TestCloseForm:test_spawning_into_it_after_its_cancel()
  local group <close> = eddy.group()
  group:cancel()
  local late = group:spawn(error, "ran")
  turns(2)
  lu.assertEquals(late:status(), "cancelled")
  lu.assertFalse(eddy.cancelled())
end

return {
  TestScope = TestScope, TestTimeout = TestTimeout, TestLeftOpen = TestLeftOpen, TestCloseForm = TestCloseForm,
}
