-- SPDX-License-Identifier: MIT
-- Barriers and rate limits. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function ignore() end

local TestBarrier = { config = { on_error = ignore } }

function TestBarrier:test_s133_the_last_arrival_lets_all_through()
  local barrier, log = eddy.barrier(3), {}
  local function arrive(i)
    local index = barrier:wait()
    log[#log + 1] = { i, index }
  end
  local tasks = { eddy.spawn(arrive, "a"), eddy.spawn(arrive, "b") }
  turns(2)
  lu.assertEquals(log, {})
  lu.assertEquals(barrier:wait(), 3)
  for _, task in ipairs(tasks) do task:await() end
  lu.assertEquals(log, { { "a", 1 }, { "b", 2 } })
end

function TestBarrier:test_s133_rounds_do_not_mix()
  local barrier, rounds = eddy.barrier(4), {}
  eddy.group(function(group)
    for i = 1, 4 do
      group:spawn(function()
        for round = 1, 20 do
          local index = barrier:wait()
          rounds[round] = rounds[round] or {}
          lu.assertNil(rounds[round][index])
          rounds[round][index] = true
          if i == 1 then turns(round % 3) end
        end
      end)
    end
  end)
  lu.assertEquals(#rounds, 20)
  for _, seen in ipairs(rounds) do lu.assertEquals(seen, { true, true, true, true }) end
end

function TestBarrier:test_s134_a_cancelled_waiter_does_not_count()
  local barrier = eddy.barrier(2)
  local gone = eddy.spawn(barrier.wait, barrier)
  turns(1)
  gone:cancel()
  gone:join()
  local first = eddy.spawn(barrier.wait, barrier)
  turns(2)
  lu.assertEquals(first:status(), "waiting")
  lu.assertEquals({ barrier:wait(), first:await() }, { 2, 1 })
end

function TestBarrier:test_s135_abort_and_reset()
  local barrier = eddy.barrier(2)
  local function try() return pcall(barrier.wait, barrier) end
  local waiter = eddy.spawn(try)
  turns(1)
  barrier:abort()
  local ok, err = waiter:await()
  lu.assertEquals({ ok, err.kind, err.code }, { false, "closed", "broken" })
  lu.assertFalse((try()))
  barrier:reset()
  waiter = eddy.spawn(try)
  turns(1)
  barrier:reset()
  ok, err = waiter:await()
  lu.assertEquals({ ok, err.code }, { false, "broken" })
  waiter = eddy.spawn(try)
  turns(1)
  lu.assertEquals(barrier:wait(), 2)
  lu.assertEquals({ waiter:await() }, { true, 1 })
end

function TestBarrier:test_s135_killed_like_cancelled()
  for _, at in ipairs(killed.TURNS) do
    local barrier = eddy.barrier(2)
    killed.around({ function() barrier:wait() end }, ignore, at)
    local waiter = eddy.spawn(barrier.wait, barrier)
    turns(1)
    lu.assertEquals(waiter:status(), "waiting")
    lu.assertEquals(barrier:wait(), 2)
    waiter:await()
  end
end

function TestBarrier:test_s136_sizes()
  lu.assertEquals(eddy.barrier(1):wait(), 1)
  for _, n in ipairs { 0, -1, 1.5 } do lu.assertFalse((pcall(eddy.barrier, n))) end
  lu.assertErrorMsgContains("above 0", eddy.barrier, 0)
end

function TestBarrier:test_outside()
  local barrier = eddy.barrier(1)
  lu.assertErrorMsgContains("outside a task", barrier.wait, barrier)
  local ok, err = pcall(eddy.run, function() local b = eddy.barrier(3) b:wait() end)
  lu.assertFalse(ok)
  lu.assertStrContains(err.message, "main: waiting in barrier:wait of a barrier where 1 of 3 are")
end

-- ---- Rate limits -----------------------------------------------------------------------------------

local TestRateLimit = { clock = "manual", config = { on_error = ignore } }

-- When, counted from now, each of `n` acquisitions comes through.
local function times(limit, n)
  local start, list = eddy.now(), {}
  for i = 1, n do
    lu.assertTrue(limit:acquire())
    list[i] = math.floor((eddy.now() - start) * 1000 + 0.5) / 1000
  end
  return list
end

function TestRateLimit:test_full_at_the_start_then_evenly()
  lu.assertEquals(times(eddy.ratelimit(4, 1), 8), { 0, 0, 0, 0, 0.25, 0.5, 0.75, 1 })
  lu.assertEquals(times(eddy.ratelimit(4, 1, 1), 4), { 0, 0.25, 0.5, 0.75 })
  lu.assertEquals(times(eddy.ratelimit(1, 10, 2), 4), { 0, 0, 10, 20 })
end

function TestRateLimit:test_a_pause_fills_the_bucket_no_further_than_burst()
  local limit = eddy.ratelimit(2, 1, 3)
  eddy.sleep(100)
  lu.assertEquals(times(limit, 5), { 0, 0, 0, 0.5, 1 })
  eddy.sleep(0.75)   -- one token and a half
  lu.assertEquals(times(limit, 3), { 0, 0.25, 0.75 })
  eddy.sleep(1000)
  lu.assertEquals(times(limit, 4), { 0, 0, 0, 0.5 })
end

function TestRateLimit:test_no_drift()
  local limit, start = eddy.ratelimit(3, 1, 1), eddy.now()
  for _ = 1, 3001 do limit:acquire() end
  lu.assertAlmostEquals(eddy.now() - start, 1000, 1e-8)
end

function TestRateLimit:test_fifo_and_a_cancelled_one_owes_nothing()
  local limit, log, start = eddy.ratelimit(1, 1), {}, eddy.now()
  limit:acquire()
  local tasks = {}
  for i = 1, 4 do
    tasks[i] = eddy.spawn(function()
      limit:acquire()
      log[#log + 1] = { i, math.floor(eddy.now() - start + 0.5) }
    end)
  end
  turns(1)
  tasks[1]:cancel()
  tasks[3]:cancel()
  for _, task in ipairs(tasks) do task:join() end
  lu.assertEquals(log, { { 2, 1 }, { 4, 2 } })
end

function TestRateLimit:test_deadlines()
  local limit = eddy.ratelimit(1, 10)
  limit:acquire()
  for _ = 1, 3 do lu.assertFalse(eddy.within(1, limit.acquire, limit)) end
  lu.assertEquals(times(limit, 1), { 7 })
end

function TestRateLimit:test_killed_while_it_waits_or_with_a_token_in_hand()
  for _, at in ipairs(killed.TURNS) do
    local limit, got = eddy.ratelimit(1, 1000), 0
    limit:acquire()
    killed.around({ function() limit:acquire() got = got + 1 end, function() limit:acquire() got = got + 1 end }, function()
      eddy.sleep(0)
    end, at)
    lu.assertEquals(got, 0)
    lu.assertEquals(#times(limit, 2), 2)
  end
end

function TestRateLimit:test_misuse()
  lu.assertErrorMsgContains("above 0", eddy.ratelimit, 0, 1)
  lu.assertErrorMsgContains("above 0", eddy.ratelimit, 1, 0)
  lu.assertErrorMsgContains("finite", eddy.ratelimit, 1, 0 / 0)
  lu.assertErrorMsgContains("above 0", eddy.ratelimit, 1, 1, 0)
  lu.assertErrorMsgContains("number", eddy.ratelimit)
end

return { TestBarrier = TestBarrier, TestRateLimit = TestRateLimit }
