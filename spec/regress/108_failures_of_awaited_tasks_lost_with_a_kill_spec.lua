-- SPDX-License-Identifier: MIT
-- A gather whose caller was killed swallowed the failures of members that were tasks before: they counted as
-- awaited, and nobody was told. The same of the winner of a race, and of an `any` that nobody had won.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local reports = {}

local TestAwaited = { clock = "manual", config = { on_error = function(err, task)
  if not eddy.is(err, "swallowed") then reports[#reports + 1] = { err, task } end
end } }

function TestAwaited:setUp() reports = {} end

local function swallow() while true do pcall(eddy.sleep, 1) end end

local function failing(value)
  return eddy.background(function()
    pcall(eddy.sleep, 1000)
    error(value, 0)
  end)
end

local function told()
  local list = {}
  for i, report in ipairs(reports) do list[i] = tostring(report[1]) end
  table.sort(list)
  return list
end

-- Kill a task with `fn` in it, which gets some turns before.
local function kill(fn)
  local task = eddy.spawn(function()
    eddy.spawn(fn)
    swallow()
  end)
  for _ = 1, 6 do eddy.sleep(0) end
  task:cancel()
  lu.assertEquals({ (task:join()), task:status() }, { false, "cancelled" })
  eddy.sleep(0)
end

function TestAwaited:test_failed_while_others_went_on()
  for _, as in ipairs { function(...) return ... end, function(...) return { ... } end } do
    reports = {}
    local task = failing "failure"
    kill(function() eddy.gather(as(swallow, task)) end)
    lu.assertEquals({ told(), reports[1][2] }, { { "failure" }, task })
  end
end

function TestAwaited:test_fails_after_the_caller_has_gone()
  local task = eddy.background(function()
    eddy.shield(math.huge, eddy.sleep, 5000)
    error("late", 0)
  end)
  kill(function() eddy.gather(swallow, task) end)
  lu.assertEquals({ told(), task:status() }, { {}, "waiting" })
  task:join()
  lu.assertEquals({ told(), task:status() }, { {}, "failed" })   -- this one was told
end

function TestAwaited:test_fails_after_the_caller_has_gone_and_nobody_asks()
  local task = eddy.background(function()
    eddy.shield(math.huge, eddy.sleep, 5000)
    error("late", 0)
  end)
  kill(function() eddy.gather(swallow, task) end)
  eddy.sleep(6000)
  lu.assertEquals({ told(), reports[1][2] }, { { "late" }, task })
end

function TestAwaited:test_its_owner_raises_what_the_caller_cannot()
  local ok, err = pcall(eddy.group, function(group)
    local task = group:spawn(function()
      eddy.shield(math.huge, eddy.sleep, 5000)
      error("late", 0)
    end)
    kill(function() eddy.gather(swallow, task) end)
  end)
  lu.assertEquals({ ok, err, told() }, { false, "late", {} })
end

function TestAwaited:test_who_else_awaits_it_is_told_alone()
  local task = failing "failure"
  local other = eddy.spawn(function()
    for _ = 1, 4 do eddy.sleep(0) end
    return task:join()
  end)
  kill(function() eddy.gather(swallow, task) end)
  lu.assertEquals({ { other:await() }, #reports }, { { false, "failure" }, 0 })
end

function TestAwaited:test_the_winner_of_a_race_alone()
  kill(function() eddy.race { swallow, failing "first", failing "second" } end)
  lu.assertEquals(told(), { "first" })
  reports = {}
  kill(function() eddy.settle { swallow, failing "first", failing "second" } end)
  lu.assertEquals(told(), {})
end

function TestAwaited:test_in_hand()
  for verb, all in pairs { gather = { "a" }, any = { "a", "b" }, race = { "a" } } do
    local told_at_once = 0
    for _, at in ipairs(killed.TURNS) do
      reports = {}
      local event, seen = eddy.event(), nil
      local tasks = {}
      for i, value in ipairs(all) do
        tasks[i] = eddy.background(function()
          eddy.shield(math.huge, event.wait, event)
          error(value, 0)
        end)
      end
      killed.around({ function() seen = table.pack(pcall(eddy[verb], tasks)) end }, function() event:set() end, at)
      eddy.sleep(0)
      eddy.sleep(0)
      lu.assertEquals(told(), seen and {} or all, verb)
      if seen then told_at_once = told_at_once + 1 end
    end
    lu.assertTrue(told_at_once > 0 and told_at_once < #killed.TURNS)
  end
end

return { TestAwaited = TestAwaited }
