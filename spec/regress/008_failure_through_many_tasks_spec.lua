-- SPDX-License-Identifier: MIT
-- Each task that a failure went through had a longer text than the one before: a failure at the end of a
-- chain of a hundred thousand tasks took minutes, and gigabytes.
local lu = ...
local eddy = require "eddy"

local TestChain = {}

local function chain(length)
  local task = eddy.spawn(function()
    eddy.sleep(0)
    error("the end of the chain", 0)
  end)
  local tasks = { task }
  for i = 1, length do
    local awaited = task
    task = eddy.spawn(function() awaited:await() end)
    tasks[i + 1] = task
  end
  return tasks
end

function TestChain:test_text_is_bounded()
  local tasks = chain(2000)
  local ok, err = tasks[#tasks]:join()
  lu.assertEquals({ ok, err }, { false, "the end of the chain" })
  local text = tasks[#tasks]:traceback()
  lu.assertTrue(#text < 20000)
  lu.assertStrContains(text, "awaited by more tasks")
  local _, marks = text:gsub("awaited by more tasks", "")
  lu.assertEquals(marks, 1)
  lu.assertStrContains(text, "awaited by " .. tasks[2]:name())
end

function TestChain:test_a_short_one_has_all()
  local tasks = chain(5)
  tasks[#tasks]:join()
  local text = tasks[#tasks]:traceback()
  for i = 2, 6 do lu.assertStrContains(text, "awaited by " .. tasks[i]:name()) end
  lu.assertNotStrContains(text, "more tasks")
end

return { TestChain = TestChain }
