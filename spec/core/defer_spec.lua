-- SPDX-License-Identifier: MIT
-- eddy.defer: clean-up that may await, also on the way out of a cancellation.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local function turns(n) for _ = 1, n or 2 do eddy.sleep(0) end end

local TestDefer = { clock = "manual" }

function TestDefer:test_runs_once_at_the_end_of_the_block_and_may_await()
  local log = {}
  do
    local _ <close> = eddy.defer(function(...) log[#log + 1] = table.pack(...) eddy.sleep(1) end)
    lu.assertEquals(log, {})
  end
  lu.assertEquals(log, { { n = 1 } })
end

function TestDefer:test_gets_the_error_the_same_value()
  local err, got = {}, nil
  local ok, raised = pcall(function()
    local _ <close> = eddy.defer(function(e) eddy.sleep(1) got = e end)
    error(err)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(got, err))
  lu.assertTrue(rawequal(raised, err))
end

function TestDefer:test_several_run_in_reverse_order_also_when_one_fails()
  local log = {}
  local ok, err = pcall(function()
    local _ <close> = eddy.defer(function(e) log[#log + 1] = e end)
    local _ <close> = eddy.defer(function() error("second", 0) end)
    local _ <close> = eddy.defer(function(e) log[#log + 1] = e end)
    error("first", 0)
  end)
  lu.assertEquals({ ok, err }, { false, "second" })
  lu.assertEquals(log, { "first", "second" })
end

function TestDefer:test_is_shielded_from_the_cancellation_that_leaves_the_block()
  local log = {}
  local task = eddy.spawn(function()
    local _ <close> = eddy.defer(function(err)
      log[#log + 1] = eddy.is(err, "cancelled")
      eddy.sleep(4)
      log[#log + 1] = "cleaned"
    end)
    eddy.sleep(1000)
  end)
  turns()
  task:cancel()
  task:join()
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals(log, { true, "cleaned" })
end

function TestDefer:test_the_grace_ends_it()
  local function run(grace, seconds)
    local cleaned = false
    local start = eddy.now()
    eddy.within(1, function()
      local _ <close> = eddy.defer(function() eddy.sleep(seconds) cleaned = true end, grace)
      eddy.sleep(1000)
    end)
    return cleaned, math.floor(eddy.now() - start + 0.5)
  end
  lu.assertEquals({ run(nil, 4) }, { true, 5 })
  lu.assertEquals({ run(nil, 100) }, { false, 6 })
  lu.assertEquals({ run(2, 100) }, { false, 3 })
  lu.assertEquals({ run(0, 100) }, { false, 1 })
  lu.assertEquals({ run(math.huge, 100) }, { true, 101 })
end

function TestDefer:test_without_a_cancellation_there_is_no_limit()
  local start = eddy.now()
  do local _ <close> = eddy.defer(function() eddy.sleep(100) end) end
  lu.assertAlmostEquals(eddy.now() - start, 100, 1e-6)
end

function TestDefer:test_cancelled_while_it_cleans_up()
  local cleaned = false
  local task = eddy.spawn(function()
    local _ <close> = eddy.defer(function() eddy.sleep(3) cleaned = true end)
  end)
  turns()
  task:cancel()
  task:join()
  lu.assertTrue(cleaned)
end

function TestDefer:test_children_that_it_spawns_are_awaited()
  local log = {}
  do
    local _ <close> = eddy.defer(function() eddy.spawn(function() eddy.sleep(1) log[#log + 1] = "child" end) end)
  end
  lu.assertEquals(log, { "child" })
end

function TestDefer:test_close_runs_it_early_and_dismiss_forgets_it()
  local runs = 0
  do
    local cleanup <close> = eddy.defer(function(err) lu.assertNil(err) runs = runs + 1 end)
    cleanup:close()
    cleanup:close()
    lu.assertEquals(runs, 1)
    lu.assertFalse(cleanup:dismiss())
    lu.assertStrContains(tostring(cleanup), "done")
  end
  lu.assertEquals(runs, 1)
  do
    local cleanup <close> = eddy.defer(function() runs = runs + 1 end)
    lu.assertStrContains(tostring(cleanup), "pending")
    lu.assertTrue(cleanup:dismiss())
    lu.assertFalse(cleanup:dismiss())
  end
  lu.assertEquals(runs, 1)
end

function TestDefer:test_where_waiting_is_impossible_it_runs_plainly()
  local log = {}
  table.sort({ 2, 1 }, function(a, b)
    local _ <close> = eddy.defer(function() log[#log + 1] = select(2, pcall(eddy.sleep, 0)) end)
    return a < b
  end)
  lu.assertStrContains(log[1], "cannot await inside 'sort'")
end

function TestDefer:test_outside_a_task_it_is_a_plain_call()
  local log = {}
  do local _ <close> = eddy.defer(function(err) log[#log + 1] = err or "none" end) end
  pcall(function()
    local _ <close> = eddy.defer(function(err) log[#log + 1] = err end)
    error("e", 0)
  end)
  lu.assertEquals(log, { "none", "e" })
end

function TestDefer:test_outside_misuse()
  lu.assertErrorMsgMatches(".-defer_spec%.lua:%d+: bad argument #1 to 'defer'.*", function() eddy.defer() end)
  lu.assertErrorMsgContains("bad argument #2 to 'defer' (number expected, got string)", eddy.defer, print, "1")
  lu.assertErrorMsgContains("NaN", eddy.defer, print, 0 / 0)
end

function TestDefer:test_outside_in_a_killed_task_it_runs_but_cannot_wait()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    eddy.spawn(function()
      local _ <close> = eddy.defer(function(err) print("outer", err) end)
      local _ <close> = eddy.defer(function(err) print("inner", err, pcall(eddy.sleep, 0)) end)
      eddy.sleep(1000)
    end)
    eddy.sleep(0)
    os.exit(0, true)]] }
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.stdout, "inner\tnil\tfalse\tcannot await: task is being killed\nouter\tnil\n")
end

return { TestDefer = TestDefer }
