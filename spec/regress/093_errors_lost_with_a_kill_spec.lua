-- SPDX-License-Identifier: MIT
-- What was lost when a task was killed: the failure of a member that it was to raise, errors of its `<close>`
-- variables and generators, and a failure that it had just been told of.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local reports = {}

local TestLost = { clock = "manual", config = { on_error = function(err, task)
  if not eddy.is(err, "swallowed") then reports[#reports + 1] = { err, task } end
end } }

function TestLost:setUp() reports = {} end

local function swallow() while true do pcall(eddy.sleep, 1) end end

local function closing(value) return setmetatable({}, { __close = function() error(value, 0) end }) end

local function errors()
  local list = {}
  for i, report in ipairs(reports) do list[i] = report[1] end
  return list
end

local function kill(fn, turns)
  local task = eddy.spawn(fn)
  for _ = 1, turns or 2 do eddy.sleep(0) end
  task:cancel()
  lu.assertEquals({ (task:join()), task:status() }, { false, "cancelled" })
  return task
end

function TestLost:test_failures_of_members()
  local value, failed = {}, nil
  for _, owner in ipairs {
    function(fail) failed = eddy.spawn(fail) swallow() end,
    function(fail) eddy.group(function(group) failed = group:spawn(fail) swallow() end) end,
    function(fail) local group <close> = eddy.group() failed = group:spawn(fail) swallow() end,
    function(fail) eddy.timeout(1e6, function() failed = eddy.spawn(fail) swallow() end) end,
  } do
    reports = {}
    local task = eddy.spawn(owner, function() eddy.sleep(0) error(value) end)
    lu.assertEquals({ (task:join()), task:status() }, { false, "cancelled" })
    lu.assertEquals(#reports, 1)
    lu.assertTrue(rawequal(reports[1][1], value))
    lu.assertEquals({ reports[1][2] }, { failed })
  end
end

function TestLost:test_failures_of_a_gather_whose_caller_is_killed()
  local value = {}
  kill(function()
    eddy.spawn(eddy.gather, swallow, function()
      pcall(eddy.sleep, 1000)
      error(value)
    end)
    swallow()
  end, 4)
  lu.assertEquals(#reports, 1)
  lu.assertTrue(rawequal(reports[1][1], value))
end

function TestLost:test_errors_of_clean_up()
  local task = kill(function()
    local _ <close> = closing "outer"
    coroutine.wrap(function()
      local _ <close> = closing "inner"
      swallow()
    end)()
  end)
  lu.assertEquals(errors(), { "inner", "outer" })
  lu.assertEquals({ reports[1][2], reports[2][2] }, { task, task })
end

function TestLost:test_errors_of_generators()
  kill(function()
    local step = eddy.gen(function(emit)
      local _ <close> = closing "producer"
      emit(1)
    end)
    step()
    swallow()
  end)
  lu.assertEquals(errors(), { "producer" })
end

function TestLost:test_clean_up_that_fails_not_at_all_or_would_wait_is_not_told()
  local closed = 0
  kill(function()
    local _ <close> = eddy.defer(function() closed = closed + 1 eddy.sleep(0) closed = 100 end)
    local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
    swallow()
  end)
  lu.assertEquals({ errors(), closed }, { {}, 2 })
end

function TestLost:test_a_failure_in_hand()
  for _, ask in ipairs { "await", "join" } do
    local told_at_once = 0
    for _, at in ipairs(killed.TURNS) do
      reports = {}
      local event, seen = eddy.event(), nil
      local failing = eddy.background(function() event:wait() error("failure", 0) end)
      killed.around({ function() seen = table.pack(pcall(failing[ask], failing)) end }, function() event:set() end, at)
      eddy.sleep(0)
      eddy.sleep(0)
      lu.assertEquals(failing:status(), "failed")
      lu.assertEquals(errors(), seen and {} or { "failure" })   -- somebody is told, once
      if seen then told_at_once = told_at_once + 1 end
    end
    lu.assertTrue(told_at_once > 0 and told_at_once < #killed.TURNS)
  end
end

return { TestLost = TestLost }
