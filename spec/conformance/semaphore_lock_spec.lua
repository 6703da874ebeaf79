-- SPDX-License-Identifier: MIT
-- Statements 108 to 123: semaphores and locks. One test for each, named by its number.
-- luacheck: ignore 512 (a loop that is left at once)
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local TestSemaphore = { clock = "manual", config = { on_error = function() end } }

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

-- Tasks that acquire, one after the other, note it and hold the permit until they are cancelled.
local function queue_up(sem, log, ...)
  local tasks = {}
  for i, k in ipairs { ... } do
    tasks[i] = eddy.spawn(function()
      local _ <close> = sem:acquire(k)
      log[#log + 1] = i
      eddy.sleep(1000)
    end)
    turns(1)
  end
  return tasks
end

local function end_all(tasks)
  for _, task in ipairs(tasks) do task:cancel() end
  for _, task in ipairs(tasks) do task:join() end
end

function TestSemaphore:test_s108_no_barging()
  local sem, others = eddy.semaphore(2), 0
  eddy.spawn(function() others = others + 1 end)
  local _ <close> = sem:acquire()
  lu.assertEquals(others, 0)                         -- a free permit does not suspend
  local log = {}
  local tasks = queue_up(sem, log, 2, 1)             -- the first needs two, one is free
  lu.assertEquals({ log, sem:available() }, { {}, 1 })
  lu.assertNil(sem:try_acquire())
  tasks[1]:cancel()
  turns(2)
  lu.assertEquals(log, { 2 })
  end_all(tasks)
end

function TestSemaphore:test_s109_strict_hand_off()
  local sem, log = eddy.semaphore(1), {}
  local first = sem:acquire()
  local tasks = queue_up(sem, log, 1, 1)
  first:release()
  lu.assertEquals(sem:available(), 0)                -- it is the head waiter's already
  lu.assertNil(sem:try_acquire())
  local again = eddy.spawn(function() local _ <close> = sem:acquire() log[#log + 1] = "releaser" end)
  turns(2)
  tasks[1]:cancel()
  turns(2)
  tasks[2]:cancel()
  again:await()
  lu.assertEquals(log, { 1, 2, "releaser" })
end

function TestSemaphore:test_s110_a_cancelled_waiter_leaves_the_queue()
  local sem, log = eddy.semaphore(0), {}
  local before = eddy.stats().operations
  local tasks = queue_up(sem, log, 1, 1, 1, 1)
  tasks[2]:cancel()
  tasks[2]:join()
  lu.assertEquals(eddy.stats().operations - before, 3)
  sem:release(2)
  turns(2)
  lu.assertEquals({ log, sem:available() }, { { 1, 3 }, 0 })
  sem:release(2)
  turns(2)
  lu.assertEquals({ log, sem:available() }, { { 1, 3, 4 }, 1 })   -- no permit went to the cancelled one
  end_all(tasks)
end

function TestSemaphore:test_s111_cancel_of_the_head_and_release_in_one_turn()
  for _, cancel_first in ipairs { true, false } do
    local sem, log = eddy.semaphore(0), {}
    local tasks = queue_up(sem, log, 1, 1)
    if cancel_first then tasks[1]:cancel() end
    sem:release()
    if not cancel_first then tasks[1]:cancel() end
    turns(1)
    lu.assertEquals(log[1], cancel_first and 2 or 1)
    lu.assertEquals(sem:available(), 0)
    end_all(tasks)
    lu.assertEquals(sem:available(), 1)
  end
end

function TestSemaphore:test_s112_granted_then_cancelled()
  local sem, log = eddy.semaphore(0), {}
  local task = eddy.spawn(function()
    local _ <close> = sem:acquire()
    log[1] = "acquired"
    eddy.sleep(0)
    log[2] = "never"
  end)
  turns(1)
  sem:release()
  task:cancel()
  task:join()
  lu.assertEquals({ log, task:status(), sem:available() }, { { "acquired" }, "cancelled", 1 })
end

function TestSemaphore:test_s113_granted_then_killed()
  local passed_on = 0
  for _, at in ipairs(killed.TURNS) do
    local sem, got = eddy.semaphore(0), {}
    local survivor = eddy.spawn(function()
      turns(5)                                       -- behind the one that will be killed
      local _ <close> = sem:acquire()
      return "got it"
    end)
    killed.around({
      function()
        local _ <close> = sem:acquire()
        got[#got + 1] = "had it"
        eddy.sleep(1000)
      end,
    }, function() sem:release() end, at)
    if #got == 0 then passed_on = passed_on + 1 end
    lu.assertEquals({ eddy.within(1, survivor.await, survivor) }, { true, "got it" })
    lu.assertEquals(sem:available(), 1)
  end
  lu.assertTrue(passed_on > 0)
end

function TestSemaphore:test_s114_two_releases_for_three_waiters()
  local sem, log = eddy.semaphore(0), {}
  local tasks = queue_up(sem, log, 1, 1, 1)
  tasks[1]:cancel()
  sem:release()
  sem:release()
  turns(2)
  lu.assertEquals({ log, sem:available() }, { { 2, 3 }, 0 })
  end_all(tasks)
end

function TestSemaphore:test_s115_timeouts_and_cancels_lose_no_permit()
  local INITIAL, sem, held = 3, eddy.semaphore(3), 0
  local seed = 42
  local function random(n) seed = (seed * 1103515245 + 12345) % 2^31 return seed // 65536 % n end
  lu.assertTrue(eddy.within(1, function() sem:acquire():release() end))
  eddy.group(function(group)
    for _ = 1, 20 do
      group:spawn(function()
        for _ = 1, 500 do                            -- 10 000 in all
          local k = 1 + random(2)
          local function use()
            local _ <close> = sem:acquire(k)
            held = held + k
            if held > INITIAL then error "too many permits" end
            local _ <close> = setmetatable({}, { __close = function() held = held - k end })
            eddy.sleep(random(4))
          end
          if random(2) == 0 then
            eddy.within(random(4), use)
          else
            local task = eddy.spawn(use)
            eddy.sleep(random(3))
            task:cancel()
            task:join()
          end
          if sem:available() + held > INITIAL then error "permits out of nothing" end
        end
      end)
    end
  end)
  lu.assertEquals({ held, sem:available() }, { 0, INITIAL })
end

function TestSemaphore:test_s116_bounds()
  local sem = eddy.semaphore(1, 2)
  sem:release()
  lu.assertErrorMsgContains("semaphore_lock_spec.lua", function() sem:release() end)
  lu.assertEquals(sem:available(), 2)
  local _ <close> = sem:acquire()
  lu.assertError(sem.release, sem, 2)
  lu.assertEquals(sem:available(), 1)
  for _, bad in ipairs { -1, 1.5, "many", 0 / 0 } do lu.assertError(eddy.semaphore, bad) end
  lu.assertError(eddy.semaphore)
  lu.assertEquals(eddy.semaphore(0):available(), 0)
  lu.assertNil(eddy.semaphore(0):try_acquire())
end

function TestSemaphore:test_s117_a_big_request_is_not_starved()
  local sem, log = eddy.semaphore(0, 3), {}
  local tasks = queue_up(sem, log, 3, 1)
  for i = 1, 2 do
    sem:release()
    turns(2)
    lu.assertEquals({ log, sem:available(), sem:try_acquire() }, { {}, i })
  end
  sem:release()
  turns(2)
  lu.assertEquals(log, { 1 })
  end_all(tasks)
end

local TestLock = { clock = "manual", config = TestSemaphore.config }

function TestLock:test_s118_re_acquiring_raises()
  local lock = eddy.lock()
  local guard = lock:acquire()
  lu.assertErrorMsgContains("already held by this task", function() lock:acquire() end)
  lu.assertErrorMsgContains("already held by this task", function() lock:try_acquire() end)
  lu.assertErrorMsgContains("already held by this task", function() lock:with(print) end)
  lu.assertTrue(lock:locked())
  guard:release()
  lock:acquire():release()
end

function TestLock:test_s119_only_the_owner_releases()
  -- There is no `unlock`: a guard is released, by its owner; again is no misuse but false.
  local lock = eddy.lock()
  local guard = lock:acquire()
  local ok, err = eddy.spawn(function() guard:release() end):join()
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(err), "owner")
  lu.assertTrue(lock:locked())
  lu.assertNil(eddy.spawn(function() return lock:try_acquire() end):await())
  lu.assertEquals({ guard:release(), guard:release(), lock:locked() }, { true, false, false })
end

-- Guards are left behind here, on purpose.
local TestAbandoned = { clock = "manual", config = TestSemaphore.config, leaks = false }

function TestAbandoned:test_s120_an_abandoned_lock()
  local lock, results = eddy.lock(), {}
  local owner = eddy.spawn_with({ name = "forgetful" }, function() lock:acquire() eddy.sleep(1) end)
  turns(1)
  for i = 1, 2 do
    eddy.spawn(function()
      local ok, value = pcall(lock.acquire, lock)
      results[i] = ok or value
      if ok then value:release() end
    end)
  end
  owner:await()
  turns(3)
  lu.assertEquals({ results[1].kind, results[1].code }, { "closed", "abandoned" })
  lu.assertStrContains(tostring(results[1]), "forgetful")
  lu.assertEquals({ results[2], lock:locked() }, { true, false })
end

function TestAbandoned:test_s121_a_guard_releases_on_every_way_out()
  local lock = eddy.lock()
  local function enter() lu.assertFalse(lock:locked()) return lock:acquire() end
  ;(function() local _ <close> = enter() return 1 end)()
  pcall(function() local _ <close> = enter() error "out" end)
  for _ = 1, 2 do local _ <close> = enter() if lock:locked() then goto continue end ::continue:: end
  while true do local _ <close> = enter() break end
  local task = eddy.spawn(function() local _ <close> = enter() eddy.sleep(100) end)
  turns(1)
  lu.assertTrue(lock:locked())
  task:cancel()
  task:join()
  killed.around({ function() local _ <close> = enter() eddy.sleep(1e6) end }, function() lu.assertTrue(lock:locked()) end, 1000)
  do
    local guard <close> = enter()
    lu.assertTrue(guard:release())
    local other = eddy.spawn(function() lock:acquire() eddy.sleep(1) end)   -- the close that follows is not its
    turns(1)
    lu.assertTrue(lock:locked())
    other:cancel()
    other:join()
    pcall(lock.acquire, lock)                        -- told that it was abandoned
  end
  enter():release()
end

function TestLock:test_s122_exclusion()
  local lock, inside, log = eddy.lock(), 0, {}
  eddy.group(function(group)
    for i = 1, 5 do
      group:spawn(function()
        for _ = 1, 10 do
          local _ <close> = lock:acquire()
          inside = inside + 1
          log[#log + 1] = i
          eddy.sleep(0)
          if inside ~= 1 then error "two inside" end
          eddy.sleep(0)
          inside = inside - 1
        end
      end)
    end
  end)
  lu.assertEquals(#log, 50)
  for round = 0, 9 do
    for i = 1, 5 do lu.assertEquals(log[round * 5 + i], i, round) end
  end
end

function TestLock:test_outside_s123_outside_of_tasks()
  -- What is there without hosts: code outside of any task. A host's callback is such code.
  local lock = eddy.lock()
  lu.assertErrorMsgContains("outside a task", function() lock:acquire() end)
  lu.assertErrorMsgContains("outside a task", function() lock:with(print) end)
  lu.assertError(lock.try_acquire, lock)
  lu.assertFalse(lock:locked())
end

return { TestSemaphore = TestSemaphore, TestLock = TestLock, TestAbandoned = TestAbandoned }
