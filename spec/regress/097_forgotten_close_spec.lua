-- SPDX-License-Identifier: MIT
-- Who forgot the word `<close>` was told nothing: the function of an `eddy.defer` never ran, and the members of a
-- group were cancelled at the end of the task, without a word.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local reports = {}

local TestForgotten = { clock = "manual", config = { on_error = function(err, task) reports[#reports + 1] = { err, task } end } }

function TestForgotten:setUp() reports = {} end

local function collect() collectgarbage() collectgarbage() end

function TestForgotten:test_a_defer()
  local ran = 0
  local function clean_up() ran = ran + 1 end
  local line = debug.getinfo(clean_up, "S").linedefined
  eddy.spawn(function() eddy.defer(clean_up) end):await()
  collect()
  lu.assertEquals({ ran, #reports }, { 0, 1 })
  local err = reports[1][1]
  lu.assertEquals({ err.kind, err.code, err.op }, { "closed", "unclosed", "defer" })
  lu.assertStrContains(err.message, ("097_forgotten_close_spec.lua:%d"):format(line))
  lu.assertStrContains(err.message, "<close>")
end

function TestForgotten:test_defers_that_ran_or_were_dismissed_are_none()
  local ran = 0
  local function clean_up() ran = ran + 1 end
  do local _ <close> = eddy.defer(clean_up) end
  eddy.defer(clean_up):close()
  eddy.defer(clean_up):dismiss()
  local task = eddy.spawn(function() local _ <close> = eddy.defer(clean_up) eddy.sleep(10) end)
  eddy.sleep(0)
  task:cancel()
  task:join()
  collect()
  lu.assertEquals({ ran, #reports }, { 3, 0 })
end

function TestForgotten:test_a_group()
  local member
  local task = eddy.spawn(function()
    local group = eddy.group()
    member = group:spawn(eddy.sleep, 10)
    return "result"
  end)
  lu.assertEquals({ task:join() }, { true, "result" })
  lu.assertEquals({ member:status(), #reports }, { "cancelled", 1 })
  lu.assertEquals({ reports[1][1].code, reports[1][2] }, { "unclosed", task })
  lu.assertStrContains(reports[1][1].message, "<close>")
end

function TestForgotten:test_a_group_without_members_or_with_a_variable_is_none()
  eddy.spawn(function() eddy.group() end):await()
  eddy.spawn(function()
    local group <close> = eddy.group()
    group:spawn(eddy.sleep, 10)
  end):await()
  local task = eddy.spawn(function()
    local group <close> = eddy.group()
    group:spawn(eddy.sleep, 10)
    error("failed", 0)
  end)
  lu.assertEquals({ task:join() }, { false, "failed" })
  lu.assertEquals(#reports, 0)
end

function TestForgotten:test_outside_at_the_end_of_a_script()
  local result = process.eddy { "-e", 'local d = require "eddy".defer(function() print "clean-up" end)' }
  lu.assertEquals({ result.code, result.stdout }, { 0, "" })
  lu.assertStrContains(result.stderr, "write local _ <close> = eddy.defer(...)")
end

return { TestForgotten = TestForgotten }
