-- SPDX-License-Identifier: MIT
-- Jobs that end, are cancelled and lose their run in random order: each ends once, one way or the
-- other. Also for `make tsan`, so without endless jobs: that sanitizer holds signals back until a
-- thread calls something that it knows.
local lu = ...
local eddy = require "eddy"

local SEED = tonumber(os.getenv "EDDY_SEED") or 20
local ROUNDS = tonumber(os.getenv "EDDY_ROUNDS") or 40

local function work(n, fails)
  local list = {}
  for i = 1, n do list[i % 50 + 1] = { i } end
  if fails then error({ n }, 0) end
  return n, list
end

-- Start `count` jobs, cancel some at random moments, and say how each has ended.
local function round(random, count)
  local tasks, ends = {}, { done = 0, failed = 0, cancelled = 0 }
  for i = 1, count do
    local n, fails = random(0, 2000), random(5) == 1
    tasks[i] = eddy.spawn(function()
      local ok, value = eddy.pcall(eddy.offload, work, n, fails)
      if ok == fails or (ok and value ~= n) or (not ok and value[1] ~= n) then error("wrong answer") end
    end)
    if random(4) == 1 then eddy.sleep(0) end
    if random(3) == 1 then tasks[random(i)]:cancel() end
  end
  if random(2) == 1 then eddy.sleep(random(0) % 1000 / 1e6) end
  for i = 1, count do
    if random(4) == 1 then tasks[i]:cancel() end
  end
  for i = 1, count do
    local ok, err = tasks[i]:join()
    local how = tasks[i]:status()
    if how == "failed" then error(err, 0) end
    if not ok then lu.assertTrue(eddy.is(err, "cancelled")) end
    ends[how] = ends[how] + 1
  end
  return ends
end

local TestRaces = { timeout = 300 }

function TestRaces:test_end_against_cancel()
  local all = { done = 0, cancelled = 0 }
  math.randomseed(SEED)
  for _ = 1, ROUNDS do
    for how, n in pairs(round(math.random, math.random(1, 30))) do all[how] = (all[how] or 0) + n end
  end
  lu.assertTrue(all.done > 0)
  lu.assertTrue(all.cancelled > 0)
  eddy.sleep(0.001)
  lu.assertEquals({ eddy.stats().jobs, eddy.stats().handles }, { 0, 0 })
end

-- The run ends under jobs that are queued, run, and have ended.
function TestRaces:test_outside_end_of_the_run()
  math.randomseed(SEED)
  for i = 1, ROUNDS do
    local ok, err = pcall(eddy.run, function()
      for _ = 1, math.random(0, 20) do eddy.background(eddy.pcall, eddy.offload, work, math.random(0, 3000)) end
      for _ = 1, math.random(0, 20) do eddy.spawn(eddy.offload, work, math.random(0, 3000)) end
      if math.random(2) == 1 then eddy.sleep(math.random(0) % 1000 / 1e6) end
      if math.random(2) == 1 then error("root", 0) end
    end)
    lu.assertTrue(ok or err == "root", i)
    lu.assertEquals({ eddy.stats().jobs, eddy.stats().operations, eddy.stats().handles }, { 0, 0, 0 })
  end
end

function TestRaces:test_runs_in_workers()
  local function inside(n)
    local eddy = require "eddy"  -- luacheck: ignore
    return eddy.run(function()
      local sum = 0
      for _, value in ipairs(eddy.offload_map({ 1, 2, 3 }, function(i) return i * 2 end)) do sum = sum + value end
      return sum + n
    end)
  end
  local list = {}
  for i = 1, 20 do list[i] = i end
  for i, value in ipairs(eddy.offload_map(list, inside)) do lu.assertEquals(value, 12 + i) end
end

return { TestRaces = TestRaces }
