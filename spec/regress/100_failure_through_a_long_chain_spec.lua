-- SPDX-License-Identifier: MIT
-- At each task that a failure went through, all the tasks above were asked whether it was a cancellation of
-- theirs: with an error object in a chain of 200 000 tasks that await each other, ten minutes and more.
local lu = ...
local eddy = require "eddy"

local TestLongChain = {}

local LENGTH = 100000

local function awaiting(n, last)
  if n == 0 then return last() end
  return eddy.spawn(awaiting, n - 1, last):await()
end

function TestLongChain:test_an_error_object_goes_through_quickly()
  local failure = { "one of many" }
  local ok, err = eddy.pcall(awaiting, LENGTH, function() error(failure) end)
  lu.assertEquals({ ok, rawequal(err, failure) }, { false, true })
end

function TestLongChain:test_so_does_the_cancellation_of_the_last_one()
  local ok, err = pcall(awaiting, LENGTH, function()
    eddy.current():cancel "of the last one"
    eddy.sleep(0)
  end)
  lu.assertEquals({ ok, eddy.is(err, "cancelled"), err.reason }, { false, true, "of the last one" })
end

function TestLongChain:test_whose_cancellation_it_is_stays_known()
  local group_ended
  local task = eddy.spawn(function()
    eddy.group(function(group)
      group:spawn(eddy.sleep, 1000)
      group:cancel "the group's own"
      pcall(eddy.sleep, 0)
      local _, err = pcall(eddy.sleep, 0)
      error(err)
    end)
    group_ended = true
    eddy.sleep(1000)
  end)
  for _ = 1, 9 do eddy.sleep(0) end
  task:cancel()
  local ok, err = task:join()
  lu.assertEquals({ ok, eddy.is(err, "cancelled"), group_ended }, { false, true, true })
end

return TestLongChain
