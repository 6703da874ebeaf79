-- SPDX-License-Identifier: MIT
-- Small answers that were none: `eddy.current()` outside a task was no value at all, a number as name was taken and
-- dropped, `group:cancel()` raised behind the block's end, "1" was a number of seconds, and some messages did not say
-- which function they are about.
local lu = ...
local eddy = require "eddy"
local testing = require "eddy.testing"

local TestAnswers = {}

function TestAnswers:test_outside_current_is_nil()
  lu.assertEquals(table.pack(eddy.current()), { n = 1 })
end

function TestAnswers:test_a_number_as_name()
  local task = eddy.spawn_with({ name = 7 }, eddy.sleep, 0)
  lu.assertEquals(task:name(), "7")
  eddy.group(function(group) lu.assertEquals(group:spawn_with({ name = 1.5 }, eddy.sleep, 0):name(), "1.5") end)
end

function TestAnswers:test_cancel_of_an_ended_group()
  local ended
  eddy.group(function(group) ended = group end)
  lu.assertEquals(select("#", ended:cancel()), 0)
  ended:cancel "again"
  do
    local group <close> = eddy.group()
    ended = group
  end
  ended:cancel()
  lu.assertFalse(eddy.cancelled())
end

local function nothing() end

function TestAnswers:test_seconds_are_numbers()
  for name, call in pairs {
    sleep = function() eddy.sleep "0" end,
    sleep_until = function() eddy.sleep_until "0" end,
    timeout = function() eddy.timeout("1", nothing) end,
    within = function() eddy.within("1", nothing) end,
    shield = function() eddy.shield("1", nothing) end,
  } do
    lu.assertErrorMsgMatches((".-034.-:%%d+: bad argument #1 to '%s' %%(number expected, got string%%)"):format(name), call)
  end
  lu.assertErrorMsgContains("timeout: number expected", eddy.select, { eddy.event(), timeout = "0" })
end

function TestAnswers:test_members_name_the_function()
  for name, call in pairs {
    gather = function() eddy.gather { nothing, 5 } end,
    settle = function() eddy.settle { nothing, 5 } end,
    race = function() eddy.race { nothing, 5 } end,
    any = function() eddy.any { nothing, 5 } end,
    as_completed = function() eddy.as_completed { nothing, 5 } end,
    select = function() eddy.select { eddy.event(), 5 } end,
  } do
    lu.assertErrorMsgMatches((".-034.-:%%d+: bad argument #1 to '%s' %%(member 2: .+ expected, got number%%)"):format(name), call)
  end
  lu.assertErrorMsgMatches(".-034.-:%d+: bad argument #2 to 'gather' %(member 2: .+, got number%)",
    function() eddy.gather(nothing, 5) end)
end

function TestAnswers:test_outside_coroutine_is_a_boolean()
  for _, value in ipairs { 5, "no", {} } do
    lu.assertErrorMsgContains("'coroutine' must be a boolean", eddy.config, { coroutine = value })
  end
  eddy.config { coroutine = true }
end

function TestAnswers:test_a_module_that_does_not_compile()
  local searchers = package.searchers
  local function searcher(name) error(("error loading module '%s'"):format(name), 2) end
  package.searchers = { searcher }
  local _ <close> = setmetatable({}, { __close = function() package.searchers = searchers end })
  local ok, err = pcall(eddy.require, "spec.no_such_module")
  lu.assertFalse(ok)
  lu.assertEquals(err, "error loading module 'spec.no_such_module'")
end

function TestAnswers:test_outside_what_a_test_is_asked()
  for name, call in pairs {
    run = function() testing.run(1) end,
    suite = function() testing.suite(1) end,
    everywhere = function() testing.everywhere(1) end,
    cancel_everywhere = function() testing.cancel_everywhere(1) end,
    explore = function() testing.explore { runs = 1 } end,
  } do
    lu.assertErrorMsgMatches((".-034.-:%%d+: bad argument #1 to '%s' %%(.-"):format(name) .. "%)", call)
  end
  for _, timeout in ipairs { 0, -1, -math.huge } do
    lu.assertErrorMsgMatches(".-034.-:%d+: option 'timeout' must be above 0",
      function() testing.run(nothing, { timeout = timeout }) end)
  end
  for _, runs in ipairs { 0, -1, 1.5, math.huge } do
    lu.assertErrorMsgMatches(".-034.-:%d+: option 'runs' must be an integer above 0",
      function() testing.explore { runs = runs, nothing } end)
  end
end

return { TestAnswers = TestAnswers }
