-- SPDX-License-Identifier: MIT
-- Locks and conditions. Numbers are those of the semantics' statements.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function ignore() end

local TestLock = { config = { on_error = ignore } }
-- Guards are left behind here, on purpose.
local TestAbandoned = { config = { on_error = ignore }, leaks = false }

function TestLock:test_s118_re_acquire_raises_before_anything()
  local lock = eddy.lock()
  local guard = lock:acquire()
  lu.assertErrorMsgContains("already held by this task", function() lock:acquire() end)
  lu.assertErrorMsgContains("already held by this task", function() lock:try_acquire() end)
  lu.assertStrContains(select(2, pcall(function() lock:acquire() end)), "lock_spec.lua")
  lu.assertTrue(lock:locked())
  lu.assertTrue(guard:release())
  lu.assertFalse(guard:release())
  lu.assertFalse(lock:locked())
end

function TestLock:test_s119_only_the_owner_releases()
  local lock = eddy.lock()
  local guard = lock:acquire()
  local ok, err = eddy.spawn(function() guard:release() end):join()
  lu.assertFalse(ok)
  lu.assertStrContains(err, "only its owner")
  lu.assertTrue(lock:locked())
  guard:release()
  lu.assertFalse(eddy.spawn(function() return guard:release() end):await())
end

function TestLock:test_an_old_guard_has_no_effect()
  local lock = eddy.lock()
  local old = lock:acquire()
  old:release()
  local new <close> = lock:acquire()
  lu.assertFalse(old:release())
  lu.assertTrue(lock:locked())
  lu.assertNotIs(old, new)
end

function TestAbandoned:test_s120_abandoned_is_told_once()
  local lock = eddy.lock()
  eddy.spawn_with({ name = "bob" }, function() lock:acquire() end):await()
  lu.assertFalse(lock:locked())
  local ok, err = pcall(lock.acquire, lock)
  lu.assertFalse(ok)
  lu.assertEquals({ err.kind, err.code, err.op }, { "closed", "abandoned", "lock:acquire" })
  lu.assertStrContains(err.message, "bob")
  lu.assertTrue(lock:acquire():release())
end

function TestAbandoned:test_s120_try_acquire_is_told_too()
  local lock = eddy.lock()
  eddy.spawn(function() lock:try_acquire() end):await()
  lu.assertFalse((pcall(lock.try_acquire, lock)))
  lu.assertTrue(lock:try_acquire():release())
end

function TestAbandoned:test_s120_the_first_waiter_is_told_and_the_second_gets_it()
  local lock, log = eddy.lock(), {}
  local owner = eddy.spawn(function() lock:acquire() turns(3) end)
  turns(1)
  local waiters = {}
  for i = 1, 3 do
    waiters[i] = eddy.spawn(function()
      local ok, guard = pcall(lock.acquire, lock)
      log[#log + 1] = { i, ok }
      if ok then guard:release() end
    end)
  end
  owner:await()
  for _, task in ipairs(waiters) do task:await() end
  lu.assertEquals(log, { { 1, false }, { 2, true }, { 3, true } })
end

-- A lock is not somebody who awaits its owner: the owner's failure is still nobody's.
function TestAbandoned:test_s120_a_failure_that_nobody_awaits_is_still_seen()
  local lock = eddy.lock()
  lu.assertErrorMsgContains("oops", eddy.group, function(group)
    group:spawn(function() lock:acquire() error "oops" end)
  end)
  lu.assertFalse((pcall(lock.acquire, lock)))
end

function TestAbandoned:test_s120_many_locks_of_one_task()
  local locks = {}
  for i = 1, 5 do locks[i] = eddy.lock() end
  eddy.spawn(function()
    for i = 1, 5 do locks[i]:acquire() end
    collectgarbage()
  end):await()
  for i = 1, 5 do lu.assertFalse((pcall(locks[i].acquire, locks[i]))) end
end

function TestAbandoned:test_s120_a_held_lock_that_is_collected_leaves_no_trace()
  eddy.spawn(function()
    for _ = 1, 100 do eddy.lock():acquire() end
    collectgarbage()
    collectgarbage()
    for _ = 1, 100 do eddy.lock():acquire() end
  end):await()
end

function TestLock:test_s121_closing_on_every_way_out()
  local lock = eddy.lock()
  local function hold(how)
    for _ = 1, 2 do
      local guard <close> = lock:acquire()
      if how == "error" then error "x" elseif how == "break" then break elseif how == "early" then guard:release() end
      if how == "return" then return end
    end
  end
  for _, how in ipairs { "error", "break", "return", "early", "end" } do
    pcall(hold, how)
    lu.assertFalse(lock:locked(), how)
  end
  local task = eddy.spawn(function() local _ <close> = lock:acquire() eddy.sleep(1000) end)
  turns(1)
  task:cancel()
  task:join()
  lu.assertTrue(lock:acquire():release())   -- not abandoned
end

function TestLock:test_s121_a_killed_owner_releases_by_close()
  for _, at in ipairs(killed.TURNS) do
    local lock = eddy.lock()
    killed.around({ function() local _ <close> = lock:acquire() eddy.sleep(1000) end }, ignore, at)
    lu.assertTrue(lock:acquire():release())
  end
end

function TestLock:test_s113_handed_over_and_killed()
  for _, at in ipairs(killed.TURNS) do
    local lock = eddy.lock()
    local guard = lock:acquire()
    killed.around({ function() local _ <close> = lock:acquire() end, function() local _ <close> = lock:acquire() end },
      ignore, at)
    guard:release()
    lu.assertTrue(lock:acquire():release())
    -- The same, with the lock given in the turn of the kill.
    lock = eddy.lock()
    local holder = eddy.spawn(function()
      local mine <close> = lock:acquire()
      self.go = eddy.event()
      self.go:wait()
      mine:release()
    end)
    turns(1)
    killed.around({ function() local _ <close> = lock:acquire() end, function() local _ <close> = lock:acquire() end },
      function() self.go:set() end, at)
    holder:await()
    lu.assertTrue(lock:acquire():release())
  end
end

function TestLock:test_s122_exclusion_and_order()
  local lock, inside, order = eddy.lock(), 0, {}
  eddy.group(function(group)
    for i = 1, 5 do
      group:spawn(function()
        for _ = 1, 10 do
          local _ <close> = lock:acquire()
          inside = inside + 1
          lu.assertEquals(inside, 1)
          turns(2)
          order[#order + 1] = i
          inside = inside - 1
        end
      end)
    end
  end)
  for i = 6, 50 do lu.assertEquals(order[i], order[i - 5]) end
end

function TestLock:test_outside_s123_a_lock_belongs_to_a_task()
  local lock = eddy.lock()
  lu.assertErrorMsgContains("outside", lock.acquire, lock)
  lu.assertErrorMsgContains("outside", lock.try_acquire, lock)
  lu.assertFalse(lock:locked())
end

function TestLock:test_outside_s120_a_lock_outlives_the_run()
  local lock = eddy.lock()
  local guard = eddy.run(function() return lock:acquire() end)
  lu.assertFalse(guard:release())
  eddy.run(function()
    local _, err = pcall(lock.acquire, lock)
    lu.assertStrContains(err.message, "main")
    lu.assertTrue(lock:acquire():release())
  end)
end

function TestLock:test_with()
  local lock = eddy.lock()
  lu.assertEquals(table.pack(lock:with(function(...) return lock:locked(), ... end, 1, nil)), { true, 1, nil, n = 3 })
  lu.assertErrorMsgContains("x", lock.with, lock, error, "x")
  lu.assertFalse(lock:locked())
end

function TestLock:test_outside_a_deadlock_names_the_holder()
  local ok, err = pcall(eddy.run, function()
    local first, second = eddy.lock(), eddy.lock()
    local function both(a, b)
      local _ <close> = a:acquire()
      turns(2)
      local _ <close> = b:acquire()
    end
    eddy.spawn_with({ name = "alice" }, both, first, second)
    eddy.spawn_with({ name = "bob" }, both, second, first)
  end)
  lu.assertFalse(ok)
  lu.assertEquals(err.kind, "deadlock")
  lu.assertStrContains(err.message, "alice: waiting in lock:acquire of a lock held by bob")
  lu.assertStrContains(err.message, "bob: waiting in lock:acquire of a lock held by alice")
end

-- ---- Conditions ------------------------------------------------------------------------------------

local TestCondition = { config = { on_error = ignore }, clock = "manual" }

-- Tasks that wait and log what became of it, with the lock held.
local function waiters(condition, n, log)
  local tasks = {}
  for i = 1, n do
    tasks[i] = eddy.spawn_with({ name = "waiter " .. i }, function()
      local _ <close> = condition.lock:acquire()
      local ok, err = pcall(condition.wait, condition)
      log[#log + 1] = { i, ok }
      assert(condition.lock:locked())
      condition:notify(0)                       -- raises unless the lock is ours
      if not ok then error(err, 0) end
    end)
  end
  turns(2)
  return tasks
end

local function settle(tasks) for _, task in ipairs(tasks) do task:join() end end

function TestCondition:test_s127_misuse()
  local condition = eddy.condition()
  for _, name in ipairs { "wait", "notify", "notify_all", "wait_for" } do
    lu.assertErrorMsgContains("not held by this task", condition[name], condition, name == "wait_for" and print or nil)
  end
  local _ <close> = condition.lock:acquire()
  lu.assertErrorMsgContains("negative", condition.notify, condition, -1)
  lu.assertErrorMsgContains("eddy.Lock expected", eddy.condition, eddy.event())
end

function TestCondition:test_the_lock_is_the_one_given()
  local lock = eddy.lock()
  lu.assertIs(eddy.condition(lock).lock, lock)
  lu.assertNotIs(eddy.condition().lock, eddy.condition().lock)
  lu.assertNil(eddy.condition().no_such_thing)
end

function TestCondition:test_s128_the_lock_is_given_up_and_held_again()
  local condition, log = eddy.condition(), {}
  local tasks = waiters(condition, 2, log)
  lu.assertFalse(condition.lock:locked())
  do
    local _ <close> = condition.lock:acquire()
    condition:notify_all()
    turns(2)
    lu.assertEquals(log, {})
  end
  settle(tasks)
  lu.assertEquals(log, { { 1, true }, { 2, true } })
  lu.assertFalse(condition.lock:locked())
end

function TestCondition:test_s128_a_guard_stays_valid_over_a_wait()
  local condition = eddy.condition()
  local task = eddy.spawn(function()
    local guard = condition.lock:acquire()
    condition:wait()
    return guard:release(), guard:release()
  end)
  turns(1)
  condition.lock:with(condition.notify, condition)
  lu.assertEquals({ task:await() }, { true, false })
end

function TestCondition:test_s128_cancelled_and_timed_out_waiters_hold_the_lock()
  local condition, log = eddy.condition(), {}
  local tasks = waiters(condition, 1, log)
  local mine = condition.lock:acquire()
  tasks[1]:cancel "why"
  turns(3)
  lu.assertEquals({ log, tasks[1]:status() }, { {}, "waiting" })   -- until the lock is free
  mine:release()
  local ok, err = tasks[1]:join()
  lu.assertEquals({ ok, err.kind, err.reason, log }, { false, "cancelled", "why", { { 1, false } } })
  do
    local _ <close> = condition.lock:acquire()
    lu.assertFalse(eddy.within(1, condition.wait, condition))
    condition:notify()                                             -- the lock is ours again
  end
  lu.assertFalse(condition.lock:locked())
end

function TestCondition:test_s129_at_most_n_in_order()
  local condition, log = eddy.condition(), {}
  local tasks = waiters(condition, 4, log)
  condition.lock:with(function() condition:notify(2) condition:notify() end)
  turns(6)
  lu.assertEquals(log, { { 1, true }, { 2, true }, { 3, true } })
  tasks[4]:cancel()
  settle(tasks)
end

function TestCondition:test_s129_a_notification_passes_on_when_its_waiter_is_cancelled()
  local condition, log = eddy.condition(), {}
  local tasks = waiters(condition, 3, log)
  condition.lock:with(function()
    condition:notify()
    tasks[1]:cancel()
  end)
  turns(6)
  lu.assertEquals(log, { { 1, false }, { 2, true } })
  tasks[3]:cancel()
  settle(tasks)
end

function TestCondition:test_s129_cancelled_before_the_notification()
  local condition, log = eddy.condition(), {}
  local tasks = waiters(condition, 2, log)
  condition.lock:with(function()
    tasks[1]:cancel()
    condition:notify()
  end)
  settle(tasks)
  table.sort(log, function(a, b) return a[1] < b[1] end)
  lu.assertEquals(log, { { 1, false }, { 2, true } })
end

function TestCondition:test_s130_the_identical_cancellation()
  local condition, seen = eddy.condition(), {}
  local task = eddy.spawn(function()
    local _ <close> = condition.lock:acquire()
    local _, first = pcall(condition.wait, condition)
    local _, second = pcall(eddy.sleep, 0)
    seen = { first, second }
  end)
  turns(1)
  local mine = condition.lock:acquire()
  task:cancel()
  turns(2)
  mine:release()
  task:join()
  lu.assertNotNil(seen[1])
  lu.assertIs(seen[1], seen[2])
end

function TestCondition:test_s131_wait_for()
  local condition, n = eddy.condition(), 0
  local _ <close> = condition.lock:acquire()
  lu.assertEquals(condition:wait_for(function() return "at once" end), "at once")
  eddy.spawn(function()
    for _ = 1, 3 do
      eddy.sleep(1)
      condition.lock:with(function() n = n + 1 condition:notify() end)
    end
  end)
  lu.assertEquals(condition:wait_for(function() return n == 3 and n end), 3)
  lu.assertErrorMsgContains("bad predicate", condition.wait_for, condition, function() error "bad predicate" end)
  condition:notify()   -- still held
end

function TestCondition:test_s132_a_timeout_leaves_no_stale_waiter()
  local condition, log = eddy.condition(), {}
  local task = eddy.spawn(function()
    local _ <close> = condition.lock:acquire()
    for _ = 1, 3 do lu.assertFalse(eddy.within(1, condition.wait, condition)) end
    condition:wait()
    log[#log + 1] = "woken"
  end)
  eddy.sleep(10)
  condition.lock:with(condition.notify, condition)
  task:await()
  lu.assertEquals(log, { "woken" })
end

-- Killed in the condition's queue, in the lock's queue with a notification, with the lock just handed
-- over, and cancelled before: the lock is free afterwards, and others are served.
function TestCondition:test_killed_at_every_point()
  for _, at in ipairs(killed.TURNS) do
    for _, how in ipairs { "waiting", "notified", "queued", "cancelled" } do
      local condition, woken = eddy.condition(), false
      local function body()
        local _ <close> = condition.lock:acquire()
        if how == "cancelled" then eddy.within(0.001, condition.wait, condition) else condition:wait() end
      end
      local other
      killed.around({ body, body }, function()
        other = eddy.background(function()
          local _ <close> = condition.lock:acquire()
          condition:wait()
          woken = true
        end)
        if how == "waiting" then return end
        local guard = condition.lock:try_acquire()
        if not guard then return end
        condition:notify()
        if how ~= "notified" then turns(2) end
        guard:release()
      end, at)
      eddy.sleep(1)
      condition.lock:with(condition.notify_all, condition)
      eddy.timeout(5, other.await, other)
      lu.assertEquals({ how, woken, condition.lock:locked() }, { how, true, false })
    end
  end
end

return { TestLock = TestLock, TestAbandoned = TestAbandoned, TestCondition = TestCondition }
