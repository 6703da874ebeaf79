-- SPDX-License-Identifier: MIT
-- Statements 77 to 95: groups and task-local variables. One test for each, named by its number.
-- luacheck: ignore 512 (a loop that is left at once)
local lu = ...
local eddy = require "eddy"

local TestGroups = { clock = "manual" }

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function on_close(fn) return setmetatable({}, { __close = fn }) end

local function fail_at(seconds, value)
  return function() eddy.sleep(seconds) error(value, 0) end
end

-- Fails with `value` in the clean-up that its cancellation starts.
local function fail_in_clean_up(seconds, value)
  return function()
    local _ <close> = on_close(function() eddy.shield(100, eddy.sleep, seconds) error(value, 0) end)
    eddy.sleep(1000)
  end
end

function TestGroups:test_s077_joins_children_and_their_children()
  local ended, from = {}, eddy.now()
  eddy.group(function(group)
    group:spawn(function()
      eddy.sleep(1)                                  -- the body is over by now
      group:spawn(function() eddy.sleep(2) ended[#ended + 1] = "of the group" end)
      eddy.spawn(function() eddy.sleep(3) ended[#ended + 1] = "grandchild" end)
    end)
  end)
  lu.assertEquals(ended, { "of the group", "grandchild" })
  lu.assertAlmostEquals(eddy.now() - from, 4, 1e-6)
end

function TestGroups:test_s078_a_failing_child_ends_the_others_first()
  local log = {}
  local ok, err = pcall(eddy.group, function(group)
    group:spawn(function()
      local _ <close> = on_close(function() eddy.shield(10, eddy.sleep, 3) log[#log + 1] = "sibling" end)
      eddy.sleep(100)
    end)
    group:spawn(fail_at(1, "broken"))
    local _ <close> = on_close(function() log[#log + 1] = "body" end)
    eddy.sleep(100)
    log[#log + 1] = "never"
  end)
  lu.assertEquals({ ok, err, log }, { false, "broken", { "body", "sibling" } })
end

function TestGroups:test_s079_a_failing_body()
  local value, child = {}, nil
  local ok, err = pcall(eddy.group, function(group)
    child = group:spawn(eddy.sleep, 100)
    eddy.sleep(1)
    error(value)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(err, value))
  lu.assertEquals(child:status(), "cancelled")
  local _, both = pcall(eddy.group, function(group)
    group:spawn(fail_in_clean_up(1, "child"))
    eddy.sleep(1)
    error("body", 0)
  end)
  lu.assertEquals({ both.kind, both.errors }, { "group", { "body", "child" } })
end

function TestGroups:test_s080_three_failures_in_one_turn()
  local event = eddy.event()
  local _, err = pcall(eddy.group, function(group)
    for i = 1, 3 do group:spawn(function() event:wait() error("error " .. i, 0) end) end
    turns(1)
    event:set()
    eddy.sleep(100)
  end)
  lu.assertEquals({ err.kind, err.errors }, { "group", { "error 1", "error 2", "error 3" } })
end

function TestGroups:test_s081_a_child_cancelled_alone()
  local sibling
  local result = eddy.group(function(group)
    local child = group:spawn(eddy.sleep, 100)
    sibling = group:spawn(function() eddy.sleep(2) return "whole" end)
    turns(1)
    child:cancel()
    eddy.sleep(1)
    return "body"
  end)
  lu.assertEquals({ result, sibling:status() }, { "body", "done" })
end

function TestGroups:test_s082_failures_in_the_clean_up_of_a_cancel_win()
  local log = {}
  local task = eddy.spawn(function()
    local _, err = pcall(eddy.group, function(group)
      group:spawn(fail_in_clean_up(1, "real"))
      eddy.sleep(100)
    end)
    log[1] = err
    log[2] = select(2, pcall(eddy.sleep, 0)).kind    -- the cancel is still to come
    eddy.sleep(0)
  end)
  turns(2)
  task:cancel()
  task:join()
  lu.assertEquals({ log, task:status() }, { { "real", "cancelled" }, "cancelled" })
end

function TestGroups:test_s083_an_outer_cancel_with_clean_children()
  local seen
  local task = eddy.spawn(function()
    local _
    _, seen = pcall(eddy.group, function(group)
      for _ = 1, 3 do group:spawn(eddy.sleep, 100) end
      eddy.sleep(100)
    end)
    error(seen, 0)
  end)
  turns(2)
  task:cancel "why"
  task:join()
  lu.assertEquals({ seen.kind, seen.reason, task:status() }, { "cancelled", "why", "cancelled" })
end

function TestGroups:test_s084_failures_of_nested_groups()
  local outer_child, alive
  local ok, err = pcall(eddy.group, function(outer)
    outer_child = outer:spawn(eddy.sleep, 100)
    local _, inner_err = pcall(eddy.group, function(inner)
      inner:spawn(fail_at(1, "inner"))
      inner:spawn(eddy.sleep, 100)
    end)
    alive = outer_child:status()
    error(inner_err, 0)
  end)
  lu.assertEquals({ ok, err, alive, outer_child:status() }, { false, "inner", "waiting", "cancelled" })
  local inner_body, inner_child
  ok, err = pcall(eddy.group, function(outer)
    outer:spawn(fail_at(1, "outer"))
    eddy.group(function(inner)
      inner_child = inner:spawn(eddy.sleep, 100)
      local _ <close> = on_close(function(_, why) inner_body = why.kind end)
      eddy.sleep(100)
    end)
  end)
  lu.assertEquals({ ok, err, inner_body, inner_child:status() }, { false, "outer", "cancelled", "cancelled" })
end

function TestGroups:test_s085_both_of_two_nested_groups_fail()
  local inner_err
  local ok, err = pcall(eddy.group, function()
    local _
    _, inner_err = pcall(eddy.group, function(inner) inner:spawn(fail_at(1, "inner")) end)
    eddy.sleep(1)                                    -- nothing of the inner one is left
    error("outer", 0)
  end)
  lu.assertEquals({ inner_err, ok, err, eddy.cancelled() }, { "inner", false, "outer", false })
  lu.assertTrue(eddy.within(5, eddy.sleep, 1))
end

function TestGroups:test_s086_spawning_into_a_finished_group()
  local kept, called = nil, false
  eddy.group(function(group) kept = group end)
  local weak = setmetatable({}, { __mode = "v" })
  local function try()
    local argument = {}
    weak[1], weak[2] = argument, function() called = argument end
    return pcall(kept.spawn, kept, weak[2], argument)
  end
  local ok, err = try()
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(err), "ended")
  turns(2)
  collectgarbage()
  collectgarbage()
  lu.assertEquals({ called, weak[1], weak[2] }, { false })
end

function TestGroups:test_s087_spawning_into_a_cancelled_block()
  local tasks, ran = {}, false
  eddy.group(function(group)
    group:cancel()
    tasks[1] = group:spawn(function() ran = true end)
    tasks[2] = eddy.spawn(function() ran = true end)
  end)
  lu.assertEquals({ ran, tasks[1]:status(), tasks[2]:status() }, { false, "cancelled", "cancelled" })
end

function TestGroups:test_s088_used_by_a_task_that_is_no_descendant()
  local handle, ok, err = nil, nil, nil
  local owner = eddy.spawn(function()
    ok, err = pcall(eddy.group, function(group)
      handle = group
      eddy.sleep(100)
    end)
  end)
  turns(1)
  local stranger = eddy.spawn(function()
    local child = handle:spawn(fail_at(1, "from outside"))
    eddy.sleep(5)
    return child:status()
  end)
  lu.assertEquals(stranger:await(), "failed")        -- the failure is not the stranger's
  owner:await()
  lu.assertEquals({ ok, err }, { false, "from outside" })
end

function TestGroups:test_s089_every_way_out_of_a_close_group_waits()
  local ended
  local function child() eddy.sleep(2) ended = true end
  local ways = {
    ["return"] = function() local g <close> = eddy.group() g:spawn(child) return "value" end,
    ["break"] = function() while true do local g <close> = eddy.group() g:spawn(child) break end end,
    ["goto"] = function() do local g <close> = eddy.group() g:spawn(child) goto out end ::out:: end,
    ["end"] = function() do local g <close> = eddy.group() g:spawn(child) end end,
  }
  for name, way in pairs(ways) do
    ended = false
    local from = eddy.now()
    local value = way()
    lu.assertTrue(ended, name)
    lu.assertAlmostEquals(eddy.now() - from, 2, 1e-6)
    if name == "return" then lu.assertEquals(value, "value") end
  end
  local child_of_failed
  local ok, err = pcall(function()
    local g <close> = eddy.group()
    child_of_failed = g:spawn(eddy.sleep, 100)
    error("body", 0)
  end)
  lu.assertEquals({ ok, err, child_of_failed:status() }, { false, "body", "cancelled" })
  ok, err = pcall(function()
    local g <close> = eddy.group()
    g:spawn(fail_at(1, "child"))
    return "a normal exit"
  end)
  lu.assertEquals({ ok, err }, { false, "child" })
end

function TestGroups:test_s090_ended_children_leave_the_group()
  -- 100 000 are enough to see what one of them would leave behind: 8 bytes each are 20 times the limit.
  local function used()
    collectgarbage()
    collectgarbage()
    return collectgarbage "count" * 1024 + eddy.stats().bytes
  end
  local function nothing() end
  eddy.group(function(group)
    for _ = 1, 1000 do group:spawn(nothing) eddy.sleep(0) end
    local before = used()
    for _ = 1, 100000 do group:spawn(nothing) eddy.sleep(0) end
    lu.assertAlmostEquals(used(), before, 40000)
  end)
end

function TestGroups:test_s091_a_hydra_is_stopped()
  local born, alive, stop = 0, 0, false
  local ok, err = pcall(eddy.group, function(group)
    local function head()
      born, alive = born + 1, alive + 1
      local _ <close> = on_close(function() alive = alive - 1 end)
      if born == 100 then stop = true error("cut off", 0) end
      eddy.sleep(0)
      for _ = 1, 2 do group:spawn(head) end
      eddy.sleep(1)
    end
    head()
  end)
  lu.assertEquals({ ok, err, stop, alive, born }, { false, "cut off", true, 0, born })
  local at_end = born
  turns(3)
  lu.assertEquals(born, at_end)
  lu.assertTrue(born <= 200, born)                   -- those of the turn in which it failed, at most
end

function TestGroups:test_s092_start_waits_for_ready()
  eddy.group(function(group)
    local log, from = {}, eddy.now()
    lu.assertEquals(group:start(function(ready, argument)
      eddy.sleep(1)
      ready(argument)
      eddy.sleep(2)
      log[1] = "child went on"
    end, "value"), "value")
    lu.assertAlmostEquals(eddy.now() - from, 1, 1e-6)
    eddy.sleep(5)
    lu.assertEquals(log, { "child went on" })
    -- A failure before `ready` is the caller's alone: the group goes on.
    local value = {}
    local ok, err = pcall(group.start, group, function() eddy.sleep(1) error(value) end)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, value))
    lu.assertErrorMsgContains("ready", group.start, group, function() eddy.sleep(1) end)
    local twice
    group:start(function(ready) ready() twice = table.pack(pcall(ready)) end)
    turns(2)
    lu.assertFalse(twice[1])
    -- Cancelled before: so is the child.
    local child_end
    lu.assertFalse(eddy.within(1, group.start, group, function()
      local _ <close> = on_close(function(_, why) child_end = why.kind end)
      eddy.sleep(100)
    end))
    lu.assertEquals(child_end, "cancelled")
    eddy.sleep(1)
  end)
end

function TestGroups:test_s093_a_body_that_never_waits_joins_too()
  local ended, from = 0, eddy.now()
  lu.assertEquals(eddy.group(function(group)
    for i = 1, 3 do group:spawn(function() eddy.sleep(i) ended = ended + 1 end) end
    return "at once"
  end), "at once")
  lu.assertEquals(ended, 3)
  lu.assertAlmostEquals(eddy.now() - from, 3, 1e-6)
end

function TestGroups:test_s094_bindings_are_those_at_the_spawn()
  local var, seen = eddy.var "default", {}
  local function look(name) return function() eddy.sleep(1) seen[name] = var:get() end end
  eddy.group(function(group)
    var:with("first", function()
      group:spawn(look "first")
      var:with("second", function() group:spawn(look "second") eddy.sleep(0) end)
    end)
    group:spawn(look "none")
    var:with("later", eddy.sleep, 2)
  end)
  lu.assertEquals(seen, { first = "first", second = "second", none = "default" })
end

function TestGroups:test_s095_bindings_are_restored()
  local var, log = eddy.var "outside", {}
  lu.assertEquals(table.pack(var:with("in", function(...) return var:get(), ... end, 1, nil)), { "in", 1, nil, n = 3 })
  lu.assertEquals(var:get(), "outside")
  lu.assertErrorMsgEquals("broken", var.with, var, "in", function() eddy.sleep(0) error("broken", 0) end)
  lu.assertEquals(var:get(), "outside")
  local task = eddy.spawn(function()
    local _ <close> = on_close(function() log[#log + 1] = var:get() end)
    pcall(var.with, var, "in", eddy.sleep, 100)
    log[#log + 1] = var:get()
    eddy.sleep(0)
  end)
  turns(1)
  task:cancel()
  task:join()
  lu.assertEquals(log, { "outside", "outside" })
  local steps = {}
  eddy.group(function(group)
    for i = 1, 2 do
      group:spawn(function()
        for step = 1, 3 do
          var:with(i * 10 + step, function() eddy.sleep(0) steps[#steps + 1] = var:get() end)
        end
      end)
    end
  end)
  lu.assertEquals(steps, { 11, 21, 12, 22, 13, 23 })
end

return { TestGroups = TestGroups }
