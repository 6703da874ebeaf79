-- SPDX-License-Identifier: MIT
-- Statements 124 to 136: events, conditions, barriers. One test for each, named by its number.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local TestEvents = { clock = "manual", config = { on_error = function() end } }

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

-- `n` tasks that call `wait` one after the other and note their number.
local function waiters(n, log, wait)
  local tasks = {}
  for i = 1, n do
    tasks[i] = eddy.spawn(function() wait() log[#log + 1] = i end)
    turns(1)
  end
  return tasks
end

function TestEvents:test_s124_set_wakes_all_in_order()
  local event, log, others = eddy.event(), {}, 0
  waiters(4, log, function() event:wait() end)
  event:set()
  event:set()
  turns(2)
  lu.assertEquals({ log, event:is_set() }, { { 1, 2, 3, 4 }, true })
  eddy.spawn(function() others = others + 1 end)
  lu.assertTrue(event:wait())
  lu.assertEquals(others, 0)
end

function TestEvents:test_s125_set_and_clear_in_one_turn()
  local event, log = eddy.event(), {}
  waiters(2, log, function() event:wait() end)
  event:set()
  event:clear()
  local late = eddy.spawn(function() event:wait() log[#log + 1] = "late" end)
  turns(3)
  lu.assertEquals({ log, late:status() }, { { 1, 2 }, "waiting" })
  event:set()
  late:await()
end

function TestEvents:test_s126_cancelled_waiters()
  local event, log = eddy.event(), {}
  local before = eddy.stats().operations
  local tasks = waiters(3, log, function() event:wait() end)
  tasks[2]:cancel()
  tasks[2]:join()
  lu.assertEquals(eddy.stats().operations - before, 2)
  event:set()
  tasks[1]:cancel()                                  -- after the set: the wait returns normally
  turns(2)
  lu.assertEquals(log, { 1, 3 })
end

function TestEvents:test_s127_a_condition_needs_its_lock()
  local condition = eddy.condition()
  for _, method in ipairs { "wait", "notify", "notify_all" } do
    lu.assertErrorMsgContains("lock", condition[method], condition)
  end
  lu.assertErrorMsgContains("lock", condition.wait_for, condition, function() return true end)
  local holder = eddy.spawn(function() local _ <close> = condition.lock:acquire() eddy.sleep(1) end)
  turns(1)
  lu.assertErrorMsgContains("lock", condition.notify, condition)   -- another task's does not count
  holder:await()
end

function TestEvents:test_s128_wait_always_returns_with_the_lock()
  local condition, held = eddy.condition(), {}
  local function note(name)
    local ok, err = pcall(condition.lock.acquire, condition.lock)
    held[name] = not ok and tostring(err):find("already held by this task", 1, true) ~= nil
  end
  local notified = eddy.spawn(function()
    local _ <close> = condition.lock:acquire()
    condition:wait()
    note "notified"
  end)
  local cancelled = eddy.spawn(function()
    local _ <close> = condition.lock:acquire()
    local _ <close> = setmetatable({}, { __close = function() note "cancelled" end })
    condition:wait()
  end)
  local timed = eddy.spawn(function()
    local _ <close> = condition.lock:acquire()
    held.expired = not eddy.within(1, condition.wait, condition)
    note "timed"
  end)
  turns(3)
  do
    local _ <close> = condition.lock:acquire()       -- so it was released by all three
    condition:notify()
    cancelled:cancel()
    eddy.sleep(2)                                    -- the cancel and the deadline come while we hold it
    lu.assertEquals({ notified:status(), cancelled:status(), timed:status() }, { "waiting", "waiting", "waiting" })
  end
  eddy.settle { notified, cancelled, timed }
  lu.assertEquals(held, { notified = true, cancelled = true, expired = true, timed = true })
  lu.assertEquals({ cancelled:status(), condition.lock:locked() }, { "cancelled", false })
end

local function condition_waiters(condition, n, log)
  return waiters(n, log, function()
    local guard = condition.lock:acquire()
    local _ <close> = guard
    condition:wait()
  end)
end

local function notify(condition, n)
  local _ <close> = condition.lock:acquire()
  condition:notify(n)
end

function TestEvents:test_s129_no_notification_is_lost()
  local condition, log = eddy.condition(), {}
  local tasks = condition_waiters(condition, 5, log)
  notify(condition, 2)
  turns(6)
  lu.assertEquals(log, { 1, 2 })                     -- at most n, first come first
  tasks[3]:cancel()                                  -- in the turn of the notification, before and after it
  notify(condition)
  turns(6)
  lu.assertEquals(log, { 1, 2, 4 })
  tasks = condition_waiters(condition, 2, log)
  do
    local _ <close> = condition.lock:acquire()
    condition:notify(2)                              -- to the fifth of before and the first of these
    turns(3)                                         -- both are re-acquiring the lock
    tasks[1]:cancel()
    turns(2)
  end
  turns(6)
  lu.assertEquals(log, { 1, 2, 4, 5, 2 })            -- it passed on to the second of these
end

function TestEvents:test_s130_a_cancel_while_re_acquiring()
  local condition, seen, at = eddy.condition(), nil, nil
  local task = eddy.spawn(function()
    local _ <close> = condition.lock:acquire()
    local _
    _, seen = pcall(condition.wait, condition)
    at = eddy.now()
    error(seen, 0)
  end)
  turns(2)
  local from = eddy.now()
  do
    local _ <close> = condition.lock:acquire()
    condition:notify()
    turns(2)
    task:cancel "why"
    eddy.sleep(3)
    lu.assertNil(seen)
  end
  local again = select(2, task:join())
  lu.assertAlmostEquals(at - from, 3, 1e-6)
  lu.assertTrue(rawequal(seen, again))
  lu.assertEquals({ seen.kind, seen.reason, task:status() }, { "cancelled", "why", "cancelled" })
end

function TestEvents:test_s131_wait_for()
  local condition, calls, value = eddy.condition(), 0, nil
  local guard = condition.lock:acquire()
  lu.assertEquals(condition:wait_for(function() return "at once" end), "at once")
  guard:release()
  local task = eddy.spawn(function()
    local _ <close> = condition.lock:acquire()
    return (condition:wait_for(function() calls = calls + 1 return value end))
  end)
  turns(2)
  notify(condition)
  turns(3)
  lu.assertEquals({ calls, task:status() }, { 2, "waiting" })
  value = "now"
  notify(condition)
  lu.assertEquals({ task:await(), calls }, { "now", 3 })
  local held
  local failing = eddy.spawn(function()
    local _ <close> = condition.lock:acquire()
    local ok, err = pcall(condition.wait_for, condition, function() error("in the predicate", 0) end)
    held = select(2, pcall(condition.lock.acquire, condition.lock))
    return ok, err
  end)
  lu.assertEquals({ failing:await() }, { false, "in the predicate" })
  lu.assertStrContains(held, "already held")
end

function TestEvents:test_s132_a_timeout_leaves_no_waiter()
  local condition, log = eddy.condition(), {}
  local guard <close> = condition.lock:acquire()
  for _ = 1, 3 do lu.assertFalse(eddy.within(1, condition.wait, condition)) end
  local other = eddy.spawn(function() notify(condition, 1) log[1] = "notified" end)
  lu.assertTrue(eddy.within(1, condition.wait, condition))   -- a stale one would have taken it
  lu.assertEquals(log, { "notified" })
  other:await()
end

function TestEvents:test_s133_a_barrier_and_its_generations()
  local barrier, log = eddy.barrier(3), {}
  local tasks = {}
  for i = 1, 3 do
    tasks[i] = eddy.spawn(function()
      for round = 1, 4 do
        if i == 3 then eddy.sleep(1) end             -- the others are fast and come again at once
        local index = barrier:wait()
        log[#log + 1] = { round, index }
      end
    end)
  end
  turns(2)
  lu.assertEquals(log, {})
  eddy.gather(tasks)
  lu.assertEquals(#log, 12)
  for round = 1, 4 do
    local indexes = {}
    for k = 1, 3 do
      local entry = log[(round - 1) * 3 + k]
      lu.assertEquals(entry[1], round)               -- nobody of a later generation in between
      indexes[entry[2]] = true
    end
    lu.assertEquals(indexes, { true, true, true })
  end
end

function TestEvents:test_s134_a_cancelled_arrival_does_not_count()
  local barrier, log = eddy.barrier(3), {}
  local function wait() barrier:wait() end
  local tasks = waiters(2, log, wait)
  tasks[1]:cancel()
  tasks[1]:join()
  waiters(1, log, wait)
  turns(2)
  lu.assertEquals(log, {})                           -- as many are needed as are missing: one more
  waiters(1, log, wait)
  turns(2)
  lu.assertEquals(#log, 3)
end

function TestEvents:test_s135_abort_and_reset()
  local barrier, codes = eddy.barrier(3), {}
  local function wait()
    local ok, err = pcall(barrier.wait, barrier)
    codes[#codes + 1] = ok or err.code
  end
  waiters(2, {}, wait)
  barrier:abort()
  turns(2)
  wait()
  lu.assertEquals(codes, { "broken", "broken", "broken" })
  barrier:reset()
  codes = {}
  waiters(1, {}, wait)
  barrier:reset()
  turns(2)
  lu.assertEquals(codes, { "broken" })
  waiters(3, {}, wait)
  turns(2)
  lu.assertEquals(codes, { "broken", true, true, true })
  killed.around({ function() barrier:wait() end }, function() end, 1000)   -- like a cancel
  codes = {}
  waiters(2, {}, wait)
  turns(2)
  lu.assertEquals(codes, {})
  waiters(1, {}, wait)
  turns(2)
  lu.assertEquals(codes, { true, true, true })
end

function TestEvents:test_s136_sizes_of_barriers()
  local barrier, others = eddy.barrier(1), 0
  eddy.spawn(function() others = others + 1 end)
  lu.assertEquals({ barrier:wait(), barrier:wait(), others }, { 1, 1, 0 })
  for _, bad in ipairs { 0, -1, 1.5, "two", 0 / 0 } do lu.assertError(eddy.barrier, bad) end
end

return { TestEvents = TestEvents }
