-- SPDX-License-Identifier: MIT
-- Generators that are neither exhausted nor closed: the end of the task that made them closes them.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local function turns(n) for _ = 1, n or 2 do eddy.sleep(0) end end

local function on_close(fn) return setmetatable({}, { __close = function(_, err) fn(err) end }) end

--- A producer that emits for ever and calls `closer` when it is closed.
local function endless(closer)
  return function(emit)
    local _ <close> = on_close(closer)
    for i = 1, math.huge do emit(i) end
  end
end

--- Begin a generator and forget it.
local function drop(closer) return (eddy.gen(endless(closer))()) end

local function collect_all() for _ = 1, 3 do collectgarbage() end end

local TestLeft = { clock = "manual" }

function TestLeft:setUp()
  self.log = {}
end

function TestLeft:note(text) return function() self.log[#self.log + 1] = text end end

function TestLeft:test_it_is_closed_at_the_end_of_the_task_newest_first()
  local task = eddy.spawn(function(...)
    drop(self:note "first")
    drop(self:note "second")
    collect_all()
    self:note "body" ()
    return ...
  end, 1, nil, 3, nil)
  lu.assertEquals(table.pack(task:await()), { 1, nil, 3, nil, n = 4 })
  lu.assertEquals(self.log, { "body", "second", "first" })
end

function TestLeft:test_the_collector_may_have_found_it_or_not()
  local kept
  eddy.spawn(function()
    drop(self:note "collected")
    collect_all()
    kept = eddy.gen(endless(self:note "kept"))
    kept()
    lu.assertEquals(self.log, { "collected" })   -- as another one begins
    drop(self:note "collected again")
    collect_all()
  end):await()
  lu.assertEquals(self.log, { "collected", "collected again", "kept" })
  lu.assertNil(kept())
end

function TestLeft:test_many_in_a_loop_are_not_kept()
  eddy.spawn(function()
    local closed = 0
    for _ = 1, 2000 do drop(function() closed = closed + 1 end) end
    collect_all()
    drop(function() end)
    lu.assertTrue(closed >= 1999)
  end):await()
end

function TestLeft:test_the_closing_may_wait()
  local from = eddy.now()
  eddy.spawn(function() drop(function() eddy.sleep(2) self:note "closed" () end) end):await()
  lu.assertAlmostEquals(eddy.now() - from, 2, 1e-6)
  lu.assertEquals(self.log, { "closed" })
end

function TestLeft:test_the_end_of_a_block_is_not_the_end_of_the_task()
  eddy.group(function(g)
    g:spawn(function() drop(self:note "child's") end)
    drop(self:note "root's")
  end)
  lu.assertEquals(self.log, { "child's" })
end

function TestLeft:test_children_end_before_it_is_closed()
  eddy.spawn(function()
    drop(self:note "closed")
    eddy.spawn(function() eddy.sleep(1) self:note "child" () end)
  end):await()
  lu.assertEquals(self.log, { "child", "closed" })
end

function TestLeft:test_a_closing_that_fails_fails_the_task()
  local err = {}
  local task = eddy.background(function()
    drop(self:note "others are closed")
    drop(function() error(err) end)
    return "dropped"
  end)
  local ok, got = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(got, err))
  lu.assertEquals(self.log, { "others are closed" })
end

function TestLeft:test_its_error_takes_the_place_of_the_bodys()
  local task = eddy.background(function()
    drop(function() error("the closing", 0) end)
    error("the body", 0)
  end)
  lu.assertEquals({ task:join() }, { false, "the closing" })
end

function TestLeft:test_a_failing_task_closes_too()
  local task = eddy.background(function()
    drop(function() eddy.sleep(1) self:note "closed" () end)
    error("the body", 0)
  end)
  lu.assertEquals({ task:join() }, { false, "the body" })
  lu.assertEquals(self.log, { "closed" })
end

function TestLeft:test_in_a_cancelled_task_a_wait_needs_a_shield()
  local task = eddy.spawn(function()
    drop(function() eddy.shield(5, eddy.sleep, 1) self:note "shielded" () end)
    drop(function() self:note "waits" () eddy.sleep(1) self:note "not reached" () end)
    eddy.sleep(1000)
  end)
  turns()
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals(self.log, { "waits", "shielded" })
end

function TestLeft:test_no_failure_is_lost_to_a_cancellation()
  local task = eddy.background(function()
    drop(function() eddy.sleep(1) end)
    pcall(eddy.sleep, 1000)
    error("the body", 0)
  end)
  turns()
  task:cancel()
  lu.assertEquals({ task:join() }, { false, "the body" })
end

function TestLeft:test_cancelled_while_it_closes()
  local task = eddy.spawn(function() drop(function() eddy.sleep(1000) end) end)
  turns(3)
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertEquals(task:status(), "cancelled")
end

function TestLeft:test_one_that_begins_while_others_are_closed()
  eddy.spawn(function()
    drop(function()
      self:note "outer" ()
      drop(self:note "inner")
    end)
  end):await()
  lu.assertEquals(self.log, { "outer", "inner" })
end

function TestLeft:test_who_has_a_generator_of_another_task()
  local given
  local maker = eddy.spawn(function()
    given = eddy.gen(endless(self:note "closed"))
    eddy.sleep(1)
  end)
  turns()
  lu.assertEquals(given(), 1)
  maker:await()
  lu.assertEquals(self.log, { "closed" })
  lu.assertNil(given())
end

function TestLeft:test_its_maker_has_ended_before_it_began()
  eddy.spawn(function()
    local given = eddy.spawn(function() return (eddy.gen(endless(self:note "closed"))) end):await()
    lu.assertEquals({ given(), given() }, { 1, 2 })
    lu.assertEquals(self.log, {})
  end):await()
  lu.assertEquals(self.log, { "closed" })
end

function TestLeft:test_somebody_else_waits_for_it_when_its_maker_ends()
  local given
  local maker = eddy.spawn(function()
    given = eddy.gen(function(emit)
      local _ <close> = on_close(self:note "closed")
      for i = 1, 3 do eddy.sleep(2) emit(i) end
    end)
    eddy.sleep(1)
  end)
  turns()
  eddy.spawn(function()
    lu.assertEquals(given(), 1)
    lu.assertEquals(maker:status(), "done")
    lu.assertEquals(given(), 2)
    lu.assertEquals(self.log, {})
  end):await()
  lu.assertEquals(self.log, { "closed" })
end

function TestLeft:test_nested_generators_close_inside_out()
  eddy.spawn(function()
    local outer = eddy.gen(function(emit)
      local _ <close> = on_close(self:note "outer")
      local inner = eddy.gen(endless(self:note "inner"))
      for value in inner do emit(value) end
    end)
    lu.assertEquals(outer(), 1)
  end):await()
  lu.assertEquals(self.log, { "inner", "outer" })
end

function TestLeft:test_a_gathered_task_awaits_its_closing()
  local one, two = eddy.gather(
    function() drop(function() eddy.sleep(1) self:note "closed" () end) return 1 end, function() return 2 end)
  lu.assertEquals({ one, two, self.log }, { 1, 2, { "closed" } })
end

function TestLeft:test_what_a_permit_was_for_is_given_back()
  local sem = eddy.semaphore(1)
  eddy.spawn(function()
    lu.assertEquals((eddy.gen(function(emit)
      local _ <close> = sem:acquire()
      emit "held"
    end))(), "held")
    collect_all()
    lu.assertEquals(sem:available(), 0)
  end):await()
  lu.assertEquals(sem:available(), 1)
end

local TestKilled = { config = { on_error = function() end } }

function TestKilled:test_a_killed_task_closes_without_waiting()
  local log = {}
  killed.around({ function()
    local _ <close> = on_close(function() log[#log + 1] = "the body's own" end)
    drop(function() log[#log + 1] = { pcall(eddy.sleep, 0) } end)
    eddy.sleep(1000)
  end }, function() end, 1)
  lu.assertEquals(log, { "the body's own", { false, "cannot await: task is being killed" } })
end

function TestKilled:test_killed_while_it_closes()
  local log = {}
  killed.around({ function()
    drop(function() log[#log + 1] = "older" end)
    drop(function()
      local _ <close> = on_close(function() log[#log + 1] = "newer" end)
      eddy.shield(math.huge, eddy.sleep, 1000)
    end)
  end }, function() end, 1)
  lu.assertEquals(log, { "newer", "older" })
end

local TestOutside = {}

function TestOutside:test_outside_the_root_task_closes_its_own()
  local log = {}
  lu.assertEquals(eddy.run(function()
    drop(function() eddy.sleep(0) log[#log + 1] = "closed" end)
    return "result"
  end), "result")
  lu.assertEquals(log, { "closed" })
end

return { TestLeft = TestLeft, TestKilled = TestKilled, TestOutside = TestOutside }
