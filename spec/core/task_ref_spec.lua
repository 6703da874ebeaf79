-- SPDX-License-Identifier: MIT
-- What a script holds of a task when that has ended and its memory serves others: everything that was true of
-- the old task stays true, and nothing reaches the new one.
local lu = ...
local eddy = require "eddy"

local TestEnded = { clock = "manual" }

--- One task of each end, and then so many others that their memory is in use again.
local function ended()
  local t = {
    done = eddy.spawn(function() return "a", nil, "c" end),
    empty = eddy.spawn_with({ name = "named" }, function() end),
    failed = eddy.spawn(function() error("broken", 0) end),
    unstarted = eddy.spawn(function() end),
    cancelled = eddy.spawn(function() eddy.sleep(5) end),
  }
  t.unstarted:cancel "why"
  pcall(t.failed.await, t.failed)
  eddy.sleep(1)
  t.cancelled:cancel "late"
  eddy.sleep(0)
  return t
end

local function crowd()
  local group = {}
  for i = 1, 20 do group[i] = eddy.spawn(eddy.sleep, 100) end
  eddy.sleep(0)
  return setmetatable(group, { __close = function()
    for _, task in ipairs(group) do
      lu.assertEquals(task:status(), "waiting")
      task:cancel()
    end
  end })
end

function TestEnded:test_status_name_and_text_stay()
  local t = ended()
  local names, texts = {}, {}
  for key, task in pairs(t) do names[key], texts[key] = task:name(), tostring(task) end
  local _ <close> = crowd()
  for key, task in pairs(t) do
    lu.assertEquals({ task:name(), tostring(task) }, { names[key], texts[key] })
  end
  lu.assertEquals(t.empty:name(), "named")
  lu.assertEquals(t.done:status() .. t.failed:status() .. t.unstarted:status() .. t.cancelled:status(),
    "donefailedcancelledcancelled")
end

function TestEnded:test_results_stay()
  local t = ended()
  local _ <close> = crowd()
  for _ = 1, 2 do
    lu.assertEquals(table.pack(t.done:join()), { true, "a", nil, "c", n = 4 })
    lu.assertEquals(table.pack(t.empty:await()), { n = 0 })
    lu.assertEquals({ t.failed:join() }, { false, "broken" })
    local _, err = t.unstarted:join()
    lu.assertEquals({ err.kind, err.reason }, { "cancelled", "why" })
    _, err = t.cancelled:join()
    lu.assertEquals({ err.kind, err.reason }, { "cancelled", "late" })
  end
  lu.assertStrContains(t.failed:traceback(), "'error'")
  lu.assertEquals(t.done:traceback(), "")
end

function TestEnded:test_a_cancel_reaches_nobody()
  local t = ended()
  local _ <close> = crowd()
  for _, task in pairs(t) do lu.assertFalse(task:cancel()) end
end

function TestEnded:test_members_that_ended_before()
  local t = ended()
  local _ <close> = crowd()
  lu.assertEquals({ eddy.gather(t.done, t.empty) }, { "a", nil })
  lu.assertEquals({ eddy.race { t.done, function() eddy.sleep(1) end } }, { "a", 1 })
  lu.assertEquals({ eddy.any { t.failed, t.done } }, { "a", 2 })
  local settled = eddy.settle { t.done, t.failed, t.cancelled }
  lu.assertEquals({ settled[1].value, settled[2].err, settled[3].err.reason }, { "a", "broken", "late" })
  lu.assertErrorMsgEquals("broken", eddy.gather, t.done, t.failed)
  lu.assertEquals({ eddy.select { t.cancelled } }, { 1, true })
  local seen = {}
  for index, ok in eddy.as_completed { t.done, t.failed } do seen[index] = ok end
  lu.assertEquals(seen, { true, false })
end

-- Members of somebody else's end one after the other while the call waits, and their memory is used at once.
function TestEnded:test_members_that_end_meanwhile()
  local tasks = {}
  for i = 1, 8 do
    tasks[i] = eddy.spawn(function()
      eddy.sleep(i)
      eddy.spawn(eddy.sleep, 100 - i)
      return i
    end)
  end
  local results = eddy.gather(tasks)
  lu.assertEquals(table.concat(results, " "), "1 2 3 4 5 6 7 8")
end

function TestEnded:test_a_cancelled_gather_spares_who_came_after()
  local first = eddy.spawn(eddy.sleep, 1)
  local second = eddy.spawn(eddy.sleep, 50)
  local waiter = eddy.spawn(function() eddy.gather(first, second) end)
  eddy.sleep(2)
  local later = eddy.spawn(eddy.sleep, 10) -- in the place of the first
  waiter:cancel()
  waiter:join()
  lu.assertEquals({ second:status(), later:status() }, { "cancelled", "waiting" })
  lu.assertTrue((later:join()))
end

local TestIdentity = { clock = "manual" }

function TestIdentity:test_one_object_from_the_first_question_to_the_last()
  local inside = {}
  local task = eddy.spawn(function()
    inside[1] = eddy.current()
    eddy.sleep(1)
    inside[2] = eddy.current()
    collectgarbage()
    inside[3] = eddy.current()
    return eddy.current()
  end)
  local result = task:await()
  lu.assertTrue(rawequal(result, task))
  for i = 1, 3 do lu.assertTrue(rawequal(inside[i], task), i) end
end

-- Members of a gather have no object until somebody asks.
function TestIdentity:test_of_a_member()
  local seen = {}
  eddy.gather(function()
    seen[1] = eddy.current()
    eddy.sleep(1)
    collectgarbage()
    seen[2] = eddy.current()
  end, function() eddy.sleep(2) end)
  lu.assertTrue(rawequal(seen[1], seen[2]))
  lu.assertEquals(seen[1]:status(), "done")
  lu.assertFalse(seen[1]:cancel())
end

function TestIdentity:test_asked_for_when_the_stack_is_deep()
  local function down(n)
    if n == 0 then return eddy.current() end
    local task = down(n - 1)
    return task
  end
  local task = eddy.spawn(function() return down(150) end)
  lu.assertTrue(rawequal(task:await(), task))
end

-- It is dropped at once; the task lives on, and what it asks for later is still there.
function TestIdentity:test_of_a_task_that_nobody_keeps()
  local seen = setmetatable({}, { __mode = "v" })
  local name
  seen[1] = eddy.spawn_with({ name = "lonely" }, function()
    eddy.sleep(1)
    collectgarbage()
    name = eddy.current():name()
    lu.assertTrue(rawequal(seen[1], eddy.current()))
  end)
  collectgarbage()
  lu.assertNotNil(seen[1])
  eddy.sleep(2)
  collectgarbage()
  lu.assertEquals({ name, seen[1] }, { "lonely" })
end

-- The spawning function is kept for as long as the task may have to say where it came from, and no longer.
function TestIdentity:test_the_spawning_function_goes_with_the_task()
  local held = setmetatable({}, { __mode = "v" })
  do
    local function spawner() return eddy.spawn(eddy.sleep, 1), held end
    held[1] = spawner
    spawner()
  end
  collectgarbage()
  lu.assertNotNil(held[1])
  eddy.sleep(2)
  collectgarbage()
  lu.assertNil(held[1])
end

return { TestEnded = TestEnded, TestIdentity = TestIdentity }
