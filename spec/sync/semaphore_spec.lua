-- SPDX-License-Identifier: MIT
-- Semaphores: who gets a permit when things happen in one turn. Numbers are those of the statements.
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function ignore() end

-- `n` tasks that queue for a permit in order and log who got one.
local function waiters(semaphore, n, log)
  local tasks = {}
  for i = 1, n do
    tasks[i] = eddy.spawn(function()
      local permit = semaphore:acquire()
      log[#log + 1] = i
      return permit
    end)
  end
  turns(1)
  return tasks
end

local TestSemaphore = {}

function TestSemaphore:test_s108_free_permits_do_not_suspend()
  local semaphore, other = eddy.semaphore(2), false
  turns(1)
  eddy.spawn(function() other = true end)
  for _ = 1, 20 do semaphore:acquire():release() end
  lu.assertFalse(other)
end

function TestSemaphore:test_s109_the_releaser_goes_to_the_tail()
  local semaphore, log = eddy.semaphore(1), {}
  local mine = semaphore:acquire()
  local tasks = waiters(semaphore, 1, log)
  mine:release()
  lu.assertEquals(semaphore:available(), 0)
  eddy.spawn(function() turns(3) tasks[1]:await():release() end)
  semaphore:acquire():release()
  lu.assertEquals(log, { 1 })
end

function TestSemaphore:test_s111_cancel_then_release()
  local semaphore, log = eddy.semaphore(0), {}
  local tasks = waiters(semaphore, 2, log)
  tasks[1]:cancel()
  semaphore:release()
  turns(3)
  lu.assertEquals(log, { 2 })
  lu.assertEquals(semaphore:available(), 0)
  tasks[2]:await():release()
end

function TestSemaphore:test_s111_s112_release_then_cancel()
  local semaphore, log = eddy.semaphore(0), {}
  local tasks = waiters(semaphore, 2, log)
  semaphore:release()
  tasks[1]:cancel()
  turns(3)
  lu.assertEquals(log, { 1 })   -- it was granted: it is delivered
  tasks[2]:cancel()
  tasks[1]:await():release()
end

function TestSemaphore:test_s112_delivered_then_cancelled_gives_back_by_close()
  local semaphore, had_it = eddy.semaphore(0), false
  local task = eddy.spawn(function()
    local _ <close> = semaphore:acquire()
    had_it = true
    eddy.sleep(0)
    error "not reached"
  end)
  turns(1)
  semaphore:release()
  task:cancel()
  task:join()
  lu.assertEquals({ had_it, task:status(), semaphore:available() }, { true, "cancelled", 1 })
end

-- Its parent is killed in the turn in which the permit is granted.
function TestSemaphore:test_s113_granted_then_killed()
  for at = 1022, 1025 do
    local semaphore, n, taken = eddy.semaphore(0), 0, 0
    local doomed, permit
    eddy.spawn(function()
      while not doomed or doomed:status() ~= "cancelled" do
        if n == at then semaphore:release() n = n + 1e6 end
        eddy.sleep(0)
      end
    end)
    doomed = eddy.spawn(function()
      eddy.spawn(function()
        permit = eddy.shield(math.huge, semaphore.acquire, semaphore)
        taken = taken + 1
      end)
      while true do n = n + 1 pcall(eddy.sleep, 1) end
    end)
    turns(2)
    doomed:cancel()
    doomed:join()
    local released = n > 1e6 and 1 or 0
    lu.assertEquals(semaphore:available() + taken, released)
    if permit then permit:release() end
  end
end
TestSemaphore.config = { on_error = ignore }

function TestSemaphore:test_s114_two_releases_three_waiters()
  local semaphore, log = eddy.semaphore(0), {}
  local tasks = waiters(semaphore, 3, log)
  tasks[1]:cancel()
  semaphore:release()
  semaphore:release()
  turns(3)
  lu.assertEquals(log, { 2, 3 })
  tasks[2]:await():release()
  tasks[3]:await():release()
end

function TestSemaphore:test_s116_never_above_the_maximum()
  local semaphore = eddy.semaphore(1, 1)
  local permit = semaphore:acquire()
  -- The permit is out: either this release or the permit's must be refused or ignored.
  pcall(semaphore.release, semaphore)
  pcall(permit.release, permit)
  lu.assertEquals(semaphore:available(), 1)
end

function TestSemaphore:test_s116_misuse()
  lu.assertErrorMsgContains("at least the initial value", eddy.semaphore, 2, 1)
  lu.assertErrorMsgContains("above 0", eddy.semaphore, 0, 0)
  lu.assertErrorMsgContains("number", eddy.semaphore)
  local semaphore = eddy.semaphore(1)
  lu.assertErrorMsgContains("above 0", semaphore.release, semaphore, -1)
  lu.assertErrorMsgContains("above 0", semaphore.try_acquire, semaphore, 0)
  lu.assertEquals(semaphore:available(), 1)
end

function TestSemaphore:test_a_released_permit_is_not_given_twice()
  local semaphore = eddy.semaphore(2)
  do
    local permit <close> = semaphore:acquire(2)
    lu.assertEquals(semaphore:available(), 0)
    lu.assertTrue(permit:release())
    lu.assertFalse(permit:release())
  end
  lu.assertEquals(semaphore:available(), 2)
end

function TestSemaphore:test_a_permit_may_be_released_by_another_task_and_after_the_run()
  local semaphore = eddy.semaphore(1)
  local permit = semaphore:acquire()
  eddy.spawn(function() permit:release() end):await()
  lu.assertEquals(semaphore:available(), 1)
end

function TestSemaphore:test_outside_a_permit_outlives_the_run()
  local semaphore = eddy.semaphore(1)
  local permit = eddy.run(semaphore.acquire, semaphore)
  lu.assertEquals(semaphore:available(), 0)
  lu.assertTrue(permit:release())
  lu.assertEquals(semaphore:available(), 1)
  lu.assertNotNil(semaphore:try_acquire())
end

function TestSemaphore:test_closing_on_every_way_out()
  local semaphore = eddy.semaphore(1)
  local function hold(how)
    for _ = 1, 2 do
      local _ <close> = semaphore:acquire()
      if how == "error" then error "x" elseif how == "break" then break elseif how == "return" then return end
    end
  end
  for _, how in ipairs { "error", "break", "return", "end" } do
    pcall(hold, how)
    lu.assertEquals({ how, semaphore:available() }, { how, 1 })
  end
end

return { TestSemaphore = TestSemaphore }
