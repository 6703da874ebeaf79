-- SPDX-License-Identifier: MIT
-- gather, settle, race, any. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local function after(turns, ...)
  local results = table.pack(...)
  return function()
    for _ = 1, turns do eddy.sleep(0) end
    return table.unpack(results, 1, results.n)
  end
end

local function fails(turns, value)
  return function() for _ = 1, turns do eddy.sleep(0) end error(value, 0) end
end

local TestGather = {}

function TestGather:test_s096_order_and_nils()
  lu.assertEquals(table.pack(eddy.gather(after(3, 1), after(0), after(1, 3, 4))), { 1, nil, 3, n = 3 })
  lu.assertEquals(eddy.gather { after(2, "a"), after(0), after(1, "c") }, { "a", nil, "c", n = 3 })
end

function TestGather:test_s097_empty()
  lu.assertEquals(eddy.gather {}, { n = 0 })
  lu.assertEquals(eddy.settle {}, { n = 0 })
  lu.assertEquals(select("#", eddy.gather()), 0)
  lu.assertErrorMsgContains("no members", eddy.race, {})
  lu.assertErrorMsgContains("no members", eddy.any, {})
end

function TestGather:test_s098_first_failure_after_the_losers()
  local cleaned = false
  local value = {}
  local ok, err = pcall(eddy.gather, fails(1, value), function()
    local _ <close> = setmetatable({}, { __close = function() eddy.shield(1, eddy.sleep, 0) cleaned = true end })
    eddy.sleep(1000)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(err, value))
  lu.assertTrue(cleaned)
end

function TestGather:test_s098_several_failures_in_order_of_ending()
  local ok, err = pcall(eddy.gather, function() pcall(eddy.sleep, 1000) error("late", 0) end, fails(1, "early"))
  lu.assertFalse(ok)
  lu.assertEquals(err.errors, { "early", "late" })
end

function TestGather:test_s099_settle()
  local list = eddy.settle { fails(1, "no"), after(2, "yes", "more"), after(0) }
  lu.assertEquals(list, { { ok = false, err = "no" }, { ok = true, value = "yes" }, { ok = true }, n = 3 })
end

function TestGather:test_s100_cancelling_the_caller()
  local ended = 0
  local function member() local _ <close> = setmetatable({}, { __close = function() ended = ended + 1 end }) eddy.sleep(1000) end
  for _, how in ipairs { eddy.gather, eddy.settle, eddy.race, eddy.any } do
    local foreign = eddy.spawn(member)
    local task = eddy.spawn(how, { member, member, foreign })
    for _ = 1, 3 do eddy.sleep(0) end
    task:cancel()
    lu.assertFalse((task:join()))
    lu.assertEquals({ task:status(), foreign:status() }, { "cancelled", "cancelled" })
  end
  lu.assertEquals(ended, 12)
end

function TestGather:test_s101_same_task_twice()
  local task = eddy.spawn(after(2, "x"))
  lu.assertEquals({ eddy.gather(task, task, task) }, { "x", "x", "x" })
  lu.assertEquals({ eddy.gather(task, task) }, { "x", "x" })
end

function TestGather:test_s102_race()
  lu.assertEquals({ eddy.race { after(5, 1), after(1, 2), after(3, 3) } }, { 2, 2 })
  lu.assertEquals({ eddy.race { after(1, 1), after(1, 2) } }, { 1, 1 })
  lu.assertEquals({ pcall(eddy.race, { after(5, 1), fails(1, "lost") }) }, { false, "lost" })
end

function TestGather:test_s104_any()
  lu.assertEquals({ eddy.any { fails(0, "no"), after(3, "slow"), after(2, "quick") } }, { "quick", 3 })
  local ok, err = pcall(eddy.any, { fails(3, "a"), fails(1, "b") })
  lu.assertFalse(ok)
  lu.assertEquals(err.errors, { "a", "b" })
  local _, single = pcall(eddy.any, { fails(0, "alone") })
  lu.assertEquals({ tostring(single), single.message }, { "one task failed: alone", "1 task failed" })
  lu.assertEquals(single.errors, { "alone" })
end

function TestGather:test_s106_members_that_never_wait()
  lu.assertEquals({ eddy.gather(after(0, 1), after(0, 2)) }, { 1, 2 })
  lu.assertEquals({ eddy.race { after(0, 1) } }, { 1, 1 })
  lu.assertEquals({ eddy.any { after(0, 1) } }, { 1, 1 })
end

function TestGather:test_cancelled_member_is_a_failure()
  local victim = eddy.spawn(eddy.sleep, 1000)
  eddy.spawn(function() eddy.sleep(0) victim:cancel "why" end)
  local ok, err = pcall(eddy.gather, victim, after(50, 1))
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cancelled"))
  lu.assertEquals(err.reason, "why")
end

function TestGather:test_misuse_comes_before_anything_runs()
  local ran = false
  lu.assertErrorMsgContains("member 2", eddy.gather, function() ran = true end, 5)
  lu.assertErrorMsgContains("await itself", eddy.gather, eddy.current())
  eddy.sleep(0)
  lu.assertFalse(ran)
end

function TestGather:test_misuse_takes_back_what_was_begun()
  local ran = 0
  local function member() ran = ran + 1 end
  local other = eddy.spawn(function() eddy.sleep(0) return "other" end)
  local called = setmetatable({}, { __call = member })
  local before = eddy.stats()
  for _, gather in ipairs { eddy.gather, eddy.settle, eddy.race, eddy.any } do
    lu.assertErrorMsgContains("member 4: function or Task expected, got number", gather, { member, other, called, 5 })
    lu.assertErrorMsgContains("cannot await itself", gather, { other, member, eddy.current() })
    lu.assertErrorMsgContains("member 2", gather, setmetatable({}, { __len = function() return 3 end,
      __index = function(_, i) return i == 2 and "x" or member end }))
  end
  lu.assertEquals(eddy.stats().tasks, before.tasks)
  lu.assertEquals(eddy.stats().operations, before.operations)
  lu.assertEquals(eddy.gather { other, called, member, called }, { "other", n = 4 })
  lu.assertEquals(ran, 3)
end

-- The list is the script's: it may change while members run, also by what a metatable does.
function TestGather:test_the_list_may_change_meanwhile()
  local other = eddy.spawn(function() eddy.sleep(0) return "other" end)
  local list
  list = { function() list[1], list[2] = nil, nil return "own" end, other }
  lu.assertEquals(eddy.gather(list), { "own", "other", n = 2 })
end

function TestGather:test_members_can_ask_for_themselves()
  local seen = {}
  eddy.gather(function() seen[1] = eddy.current() eddy.sleep(0) lu.assertEquals(eddy.current(), seen[1]) end)
  lu.assertEquals(seen[1]:status(), "done")
  local again
  eddy.gather(function() again = eddy.current() end)
  lu.assertNotEquals(again, seen[1])
end

function TestGather:test_many_failures_are_linear()
  local list = {}
  for i = 1, 3000 do list[i] = function() pcall(eddy.sleep, 1000) error(i, 0) end end
  list[3001] = fails(1, "first")
  local _, err = pcall(eddy.gather, list)
  lu.assertEquals(#err.errors, 3001)
  lu.assertEquals({ err.errors[1], err.errors[2], err.errors[3001] }, { "first", 1, 3000 })
end

local TestMembers = { clock = "manual" }

function TestMembers:test_s098_s102_a_member_that_has_ended_decides_at_once()
  local won = eddy.spawn(after(0, "won"))
  local lost = eddy.background(fails(0, "lost"))
  won:await()
  lost:join()
  local from = eddy.now()
  for _, case in ipairs { { eddy.race, won }, { eddy.any, won }, { eddy.gather, lost } } do
    local slow = eddy.background(eddy.sleep, 1000)
    pcall(case[1], { case[2], slow })
    lu.assertEquals(slow:status(), "cancelled")
  end
  lu.assertAlmostEquals(eddy.now() - from, 0, 0.001)
end

function TestMembers:test_all_ended_then_cancelled_in_one_turn_delivers()
  local results
  local event = eddy.event()
  local caller = eddy.spawn(function() results = { eddy.gather(function() event:wait() return 1 end) } end)
  for _ = 1, 2 do eddy.sleep(0) end
  event:set()
  eddy.spawn(function() caller:cancel() end)   -- runs after the member, before the caller
  eddy.sleep(0)
  caller:join()
  lu.assertEquals(results, { 1 })
end

function TestMembers:test_outside_the_list_may_change_meanwhile()
  local result = process.eddy({ "-e", [[
    local eddy = require "eddy"
    local event = eddy.event()
    local list = { eddy.spawn(function() event:wait() return "first" end) }
    eddy.spawn(function() list[1] = 5 event:set() end)
    print(eddy.gather(list)[1])]] }, { timeout = 10 })
  lu.assertEquals({ result.code, result.stdout }, { 0, "first\n" })
end

function TestMembers:test_outside_a_long_chain_of_tasks_is_cancelled()
  local result = process.eddy({ "-e", [[
    local eddy = require "eddy"
    local task = eddy.background(eddy.sleep, 1000)
    for _ = 1, 100000 do
      local last = task
      task = eddy.background(function() return eddy.gather(last) end)
    end
    eddy.sleep(0)
    task:cancel()
    print(task:join())]] }, { timeout = 30 })
  lu.assertEquals({ result.code, result.stdout }, { 0, "false\ttask cancelled (cancelled)\n" })
end

function TestMembers:test_killed_while_a_foreign_member_goes_on()
  local gate = eddy.event()
  local function late() eddy.shield(math.huge, gate.wait, gate) end
  local first, second = eddy.background(late), eddy.background(late)
  local parent = eddy.spawn(function()
    eddy.spawn(function() eddy.gather(first, second, function() eddy.sleep(1000) end) end)
    while true do pcall(eddy.sleep, 1) end
  end)
  for _ = 1, 2 do eddy.sleep(0) end
  parent:cancel()
  parent:join()
  gate:set()
  first:join()
  second:join()
  lu.assertEquals(parent:status(), "cancelled")
end
TestMembers.config = { on_error = function() end }

return { TestGather = TestGather, TestMembers = TestMembers }
