-- SPDX-License-Identifier: MIT
-- Groups in both forms. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"

local function fails(text) return function() error(text, 0) end end

local TestGroup = {}

function TestGroup:test_s077_waits_for_all_descendants()
  local ended = 0
  eddy.group(function(group)
    group:spawn(function()
      eddy.sleep(0)
      group:spawn(function() eddy.sleep(0) eddy.sleep(0) ended = ended + 1 end)
      ended = ended + 1
    end)
  end)
  lu.assertEquals(ended, 2)
end

function TestGroup:test_s078_failure_cancels_the_rest_and_waits_for_it()
  local log = {}
  local ok, err = pcall(eddy.group, function(group)
    group:spawn(function()
      pcall(eddy.sleep, 1000)
      eddy.shield(1, eddy.sleep, 0)
      log[#log + 1] = "cleaned"
    end)
    group:spawn(function() eddy.sleep(0) error("first", 0) end)
    pcall(eddy.sleep, 1000)
    log[#log + 1] = "body"
  end)
  lu.assertEquals({ ok, err }, { false, "first" })
  lu.assertItemsEquals(log, { "cleaned", "body" })
end

function TestGroup:test_s079_body_and_child()
  lu.assertEquals({ pcall(eddy.group, fails "body") }, { false, "body" })
  local ok, err = pcall(eddy.group, function(group)
    group:spawn(function() pcall(eddy.sleep, 1000) error("child", 0) end)
    eddy.sleep(0)
    error("body", 0)
  end)
  lu.assertFalse(ok)
  lu.assertEquals(err.errors, { "body", "child" })
end

function TestGroup:test_s081_one_cancelled_child_is_no_failure()
  lu.assertEquals(eddy.group(function(group)
    local task = group:spawn(eddy.sleep, 1000)
    eddy.sleep(0)
    task:cancel()
    return "fine"
  end), "fine")
end

function TestGroup:test_s082_s083_outer_cancel()
  local seen
  local task = eddy.spawn(function()
    seen = select(2, pcall(eddy.group, function(group)
      group:spawn(function() pcall(eddy.sleep, 1000) error("real", 0) end)
      eddy.sleep(1000)
    end))
    eddy.sleep(0)
    error "not reached"
  end)
  eddy.sleep(0) eddy.sleep(0)
  task:cancel()
  task:join()
  lu.assertEquals(seen, "real")
  lu.assertEquals(task:status(), "cancelled")
end

function TestGroup:test_s084_s085_nested()
  local outer_went_on = false
  eddy.group(function(outer)
    local child = outer:spawn(eddy.sleep, 0)
    lu.assertEquals({ pcall(eddy.group, function(inner) inner:spawn(fails "inner") eddy.sleep(1000) end) }, { false, "inner" })
    lu.assertEquals(child:await(), nil)
    outer_went_on = true
  end)
  lu.assertTrue(outer_went_on)
end

function TestGroup:test_s086_s087_spawning_into_an_ended_or_cancelled_group()
  local kept, late
  eddy.group(function(group)
    kept = group
    group:cancel()
    late = group:spawn(fails "ran")
  end)
  lu.assertEquals(late:status(), "cancelled")
  lu.assertErrorMsgContains("group has ended", kept.spawn, kept, print)
  lu.assertStrContains(tostring(kept), "ended")
end

function TestGroup:test_s088_from_another_task()
  local ok, err = pcall(eddy.group, function(group)
    local other = eddy.background(function() group:spawn(fails "from outside") end)
    other:join()
    eddy.sleep(1000)
  end)
  lu.assertEquals({ ok, err }, { false, "from outside" })
end

function TestGroup:test_s089_close_form()
  local log = {}
  local function leave(how)
    local group <close> = eddy.group()
    group:spawn(function() eddy.sleep(0) log[#log + 1] = how end)
    if how == "error" then error("left", 0) end
    return how
  end
  lu.assertEquals(leave "return", "return")
  lu.assertEquals({ pcall(leave, "error") }, { false, "left" })
  lu.assertEquals(log, { "return" })   -- an error cancels the members
  lu.assertEquals({ pcall(function() local group <close> = eddy.group() group:spawn(fails "member") end) }, { false, "member" })
  repeat
    local group <close> = eddy.group()
    group:spawn(function() eddy.sleep(0) log[#log + 1] = "break" end)
    if group then break end
  until false
  lu.assertEquals(log[2], "break")
end

function TestGroup:test_close_form_member_interrupts_the_body()
  lu.assertEquals({ pcall(function()
    local group <close> = eddy.group()
    group:spawn(fails "member")
    eddy.sleep(1000)
  end) }, { false, "member" })
end

function TestGroup:test_close_form_cancel_spares_the_body()
  local went_on
  do
    local group <close> = eddy.group()
    local member = group:spawn(eddy.sleep, 1000)
    eddy.sleep(0)
    group:cancel()
    eddy.sleep(0)
    went_on = true
    lu.assertEquals(member:status(), "cancelled")
  end
  lu.assertTrue(went_on)
end

function TestGroup:test_close_form_out_of_order()
  local ok, err = eddy.spawn(function()
    local a = eddy.group()
    local b = eddy.group()
    local close = getmetatable(a)
    lu.assertFalse(close)
    do local _ <close> = a end
    return b
  end):join()
  lu.assertFalse(ok)
  lu.assertStrContains(err, "out of order")
end

function TestGroup:test_s091_hydra()
  local alive, spawned = 0, 0
  local function head(group)
    spawned = spawned + 1
    alive = alive + 1
    local _ <close> = setmetatable({}, { __close = function() alive = alive - 1 end })
    if spawned == 500 then error("stop", 0) end
    for _ = 1, 2 do group:spawn(head, group) end
    eddy.sleep(1000)
  end
  lu.assertEquals({ pcall(eddy.group, function(group) group:spawn(head, group) eddy.sleep(1000) end) }, { false, "stop" })
  lu.assertEquals(alive, 0)
  lu.assertTrue(spawned < 1100)
end

function TestGroup:test_s093_body_that_never_waits()
  local ended = false
  eddy.group(function(group) group:spawn(function() ended = true end) end)
  lu.assertTrue(ended)
end

function TestGroup:test_cancel_ends_normally()
  lu.assertEquals(select("#", eddy.group(function(group) group:cancel() eddy.sleep(0) end)), 0)
  lu.assertEquals(eddy.group(function(group) group:spawn(eddy.sleep, 1000) group:cancel() return "results" end), "results")
end

return { TestGroup = TestGroup }
