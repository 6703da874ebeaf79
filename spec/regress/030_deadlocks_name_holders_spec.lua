-- SPDX-License-Identifier: MIT
-- The report of a deadlock, and the task tree, said of a semaphore only how many permits were free, not
-- who had the others; and named a task that is awaited by its number although it had a name.
local lu = ...
local eddy = require "eddy"

local TestHolders = {}

--- What the line of the task with this name says after its name.
local function line_of(name)
  return eddy.dump():match("%f[^\n%z ]" .. name .. ": ([^\n]*)")
end

local function spawn(name, fn, ...) return eddy.spawn_with({ name = name }, fn, ...) end

local function hold(semaphore, seconds)
  local _ <close> = semaphore:acquire()
  eddy.sleep(seconds)
end

TestHolders.clock = "manual"

function TestHolders:test_of_a_semaphore()
  local semaphore = eddy.semaphore(2)
  local one, _ = spawn("one", hold, semaphore, 10), spawn("two", hold, semaphore, 20)
  local waiter = spawn("waiter", hold, semaphore, 1)
  eddy.sleep(0)
  eddy.sleep(0)
  local text = "waiting in semaphore:acquire of a semaphore with 0 free, 1 wanted"
  lu.assertEquals(line_of "waiter", text .. ", held by one, two")
  eddy.group(function(group)
    group:spawn(hold, semaphore, 1)
    eddy.sleep(0)
    one:await()
    eddy.sleep(0)
    lu.assertEquals(waiter:status(), "waiting")
    lu.assertEquals(tostring(waiter):match "waiting.*", "waiting in sleep")
  end)
end

function TestHolders:test_many_are_counted()
  local semaphore = eddy.semaphore(6)
  eddy.group(function(group)
    for i = 1, 6 do group:spawn_with({ name = "t" .. i }, hold, semaphore, i) end
    eddy.sleep(0)
    group:spawn_with({ name = "waiter" }, hold, semaphore, 1)
    eddy.sleep(0)
    lu.assertStrContains(line_of "waiter", ", held by t1, t2, t3 and 3 others")
    eddy.sleep(1.5)
  end)
end

function TestHolders:test_one_that_ended_with_a_permit_is_not_named()
  local semaphore = eddy.semaphore(1)
  local permit = spawn("gone", function() return semaphore:acquire() end):await()
  local waiter = spawn("waiter", hold, semaphore, 1)
  eddy.sleep(0)
  lu.assertEquals(line_of "waiter", "waiting in semaphore:acquire of a semaphore with 0 free, 1 wanted")
  permit:release()
  waiter:await()
end

function TestHolders:test_released_without_the_permit()
  local semaphore = eddy.semaphore(1)
  local waiter = spawn("consumer", function() for _ = 1, 3 do semaphore:acquire() end end)
  eddy.sleep(0)
  lu.assertStrContains(line_of "consumer", "held by consumer")
  semaphore:release()
  eddy.sleep(0)
  lu.assertStrContains(line_of "consumer", "held by consumer")
  semaphore:release()
  waiter:await()
end

function TestHolders:test_the_semaphore_is_collected_while_it_is_held()
  spawn("forgetful", function()
    for _ = 1, 3 do
      eddy.semaphore(3):acquire()
      collectgarbage()
    end
    eddy.sleep(1)
  end):await()
end
TestHolders.leaks = false

local function deadlock(fn)
  local ok, err = pcall(eddy.run, fn)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"))
  return err.message
end

local TestReport = {}

function TestReport:test_outside_a_semaphore()
  lu.assertStrContains(deadlock(function()
    local semaphore = eddy.semaphore(1)
    spawn("holder", function()
      local _ <close> = semaphore:acquire()
      eddy.future():await()
    end)
    eddy.sleep(0)
    semaphore:acquire()
  end), "main: waiting in semaphore:acquire of a semaphore with 0 free, 1 wanted, held by holder\n")
end

function TestReport:test_outside_tasks_that_await_each_other()
  local text = deadlock(function()
    local a, b
    a = spawn("A", function() b:await() end)
    b = spawn("B", function() a:join() end)
    a:join()
  end)
  lu.assertStrContains(text, "A: waiting in task:await of B\n")
  lu.assertStrContains(text, "B: waiting in task:join of A")
end

return { TestHolders = TestHolders, TestReport = TestReport }
