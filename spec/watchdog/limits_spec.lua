-- SPDX-License-Identifier: MIT
-- spawn_with{cpu=, memory=}: a task that uses too much ends as failed with an error of kind "limit", whatever
-- it does, its '<close>' variables run, and everybody else goes on.
local lu = ...
local eddy = require "eddy"
local spin = require "spec.support.spin"
local stock = require "spec.support.stock"

local CPU = 0.02          -- seconds
local MEMORY = 1 << 20    -- bytes

local function assert_limit(task, code)
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "limit"), err)
  lu.assertEquals({ err.code, task:status() }, { code, "failed" })
  return err
end

local function over_cpu(body, ...)
  return assert_limit(eddy.spawn_with({ cpu = CPU }, body, ...), "cpu")
end

local function over_memory(body, ...)
  return assert_limit(eddy.spawn_with({ memory = MEMORY }, body, ...), "memory")
end

--- A value whose closing is counted in `counts[1]`.
local function closing(counts, fn)
  return setmetatable({}, { __close = function()
    counts[1] = (counts[1] or 0) + 1
    if fn then fn() end
  end })
end

local function forever() while true do end end

-- ---- CPU time ------------------------------------------------------------------------------------------

local TestCpu = {}

function TestCpu:test_a_loop()
  local err = over_cpu(forever)
  lu.assertStrContains(tostring(err), "0.02 s of CPU time")
  lu.assertStrContains(err.traceback, "limits_spec")
end

function TestCpu:test_nothing_catches_it()
  over_cpu(function() while true do pcall(forever) end end)
  over_cpu(function() while true do xpcall(forever, forever) end end)
  over_cpu(function() while true do coroutine.resume(coroutine.create(forever)) end end)
  over_cpu(function() while true do eddy.pcall(eddy.within, 1, forever) end end)
  over_cpu(function() for value in eddy.gen(function(emit) while true do emit(1) end end) do assert(value) end end)
end

-- Where Lua cannot be suspended errors drive the task out.
function TestCpu:test_below_c_functions()
  over_cpu(function() table.sort({ 3, 2, 1 }, forever) end)
  over_cpu(function() table.sort({ 3, 2, 1 }, function() while true do pcall(forever) end end) end)
  over_cpu(function() while true do pcall(string.gsub, "x", "x", forever) end end)
  over_cpu(function() while true do pcall(eddy.atomic, forever) end end)
  over_cpu(function()
    local step = coroutine.wrap(forever)
    string.gsub("x", "x", function() while true do pcall(step) end end)
  end)
end

function TestCpu:test_the_turns_are_added_up()
  local turns = 0
  over_cpu(function()
    while true do
      turns = turns + 1
      spin(CPU / 10)
      eddy.sleep(0)
    end
  end)
  lu.assertTrue(turns > 1)
end

-- Waiting costs nothing, and neither do the turns of others.
function TestCpu:test_what_does_not_count()
  local task = eddy.spawn_with({ cpu = CPU }, function()
    for _ = 1, 4 do
      eddy.sleep(CPU)
      eddy.spawn(spin, CPU):await()
    end
    return "done"
  end)
  eddy.spawn(spin, 3 * CPU)
  lu.assertEquals({ task:join() }, { true, "done" })
end

function TestCpu:test_clean_up_runs_once()
  local counts = {}
  over_cpu(function()
    local _ <close> = closing(counts)
    local _ <close> = closing(counts)
    local step = coroutine.wrap(function()
      local _ <close> = closing(counts)
      forever()
    end)
    step()
  end)
  lu.assertEquals(counts[1], 3)
end

function TestCpu:test_clean_up_that_does_not_end()
  local counts = {}
  over_cpu(function()
    local _ <close> = closing(counts, function() while true do pcall(forever) end end)
    local _ <close> = closing(counts)
    local _ <close> = closing(counts, forever)
    local _ <close> = closing(counts, function() coroutine.wrap(forever)() end)
    forever()
  end)
  lu.assertEquals(counts[1], 4)
end

function TestCpu:test_clean_up_does_not_wait()
  local said
  over_cpu(function()
    local _ <close> = setmetatable({}, { __close = function() said = select(2, pcall(eddy.sleep, 1)) end })
    forever()
  end)
  lu.assertStrContains(said, "task is being killed")
end

function TestCpu:test_its_children_end_with_it()
  local child
  over_cpu(function()
    child = eddy.spawn(eddy.sleep, 1000)
    eddy.sleep(0)
    forever()
  end)
  lu.assertEquals(child:status(), "cancelled")
end

function TestCpu:test_what_it_held_is_given_back()
  local semaphore = eddy.semaphore(1)
  over_cpu(function()
    local _ <close> = semaphore:acquire()
    forever()
  end)
  lu.assertEquals(semaphore:available(), 1)
end

function TestCpu:test_nobody_awaits_it()
  local ok, err = pcall(eddy.group, function(group)
    group:spawn_with({ cpu = CPU, name = "runaway" }, forever)
    eddy.sleep(1000)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "limit"))
  lu.assertStrContains(tostring(err), "task 'runaway'")
end

function TestCpu:test_one_that_ends_in_time()
  lu.assertEquals(eddy.spawn_with({ cpu = 10 }, function() return 1, 2 end):await(), 1)
  local ok, err = eddy.spawn_with({ cpu = 10 }, error, "own", 0):join()
  lu.assertEquals({ ok, err }, { false, "own" })
end

function TestCpu:test_in_a_stock_coroutine_it_is_told_afterwards()
  over_cpu(function()
    stock.wrap(spin)(2 * CPU)
    forever()
  end)
end

-- ---- Memory --------------------------------------------------------------------------------------------

local TestMemory = {}

local function hoard(list)
  while true do list[#list + 1] = ("x"):rep(100) .. #list end
end

function TestMemory:test_many_small_things()
  local err = over_memory(hoard, {})
  lu.assertStrContains(tostring(err), ("%d bytes"):format(MEMORY))
  lu.assertStrContains(err.traceback, "limits_spec")
end

function TestMemory:test_one_large_thing()
  over_memory(string.rep, "x", 4 * MEMORY)
  over_memory(function() return #("x"):rep(4 * MEMORY) end)
  over_memory(function()
    local text = ("x"):rep(MEMORY // 16)
    while true do text = text .. text end
  end)
end

function TestMemory:test_nothing_catches_it()
  over_memory(function()
    local list = {}
    while true do pcall(hoard, list) end
  end)
  over_memory(function()
    local list = {}
    while true do coroutine.resume(coroutine.create(hoard), list) end
  end)
  over_memory(function()
    local list = {}
    table.sort({ 3, 2, 1 }, function() while true do pcall(hoard, list) end end)
  end)
end

-- In turns that are too short to be noticed in between.
function TestMemory:test_the_turns_are_added_up()
  over_memory(function()
    local list = {}
    while true do
      table.insert(list, ("x"):rep(1000) .. #list)
      eddy.sleep(0)
    end
  end)
end

function TestMemory:test_garbage_is_no_excess()
  local task = eddy.spawn_with({ memory = MEMORY }, function()
    for i = 1, 200 do
      local text = ("x"):rep(MEMORY // 3) .. i
      if i % 20 == 0 then eddy.sleep(0) end
      assert(#text > 0)
    end
    return "done"
  end)
  lu.assertEquals({ task:join() }, { true, "done" })
end

function TestMemory:test_others_have_no_limit()
  local list = {}
  local task = eddy.spawn_with({ memory = MEMORY }, function()
    for _ = 1, 3 do eddy.sleep(0) end
    return "done"
  end)
  for i = 1, 4 do
    list[i] = ("x"):rep(MEMORY) .. i
    eddy.sleep(0)
  end
  lu.assertEquals(#list, 4)
  lu.assertEquals({ task:join() }, { true, "done" })
end

function TestMemory:test_clean_up_has_some_memory_left()
  local counts, made = {}, nil
  over_memory(function()
    local _ <close> = closing(counts, function() made = ("x"):rep(1000) .. #counts end)
    hoard {}
  end)
  lu.assertEquals({ counts[1], #made }, { 1, 1001 })
end

function TestMemory:test_what_was_refused_and_caught_is_forgiven()
  local task = eddy.spawn_with({ memory = MEMORY }, function()
    local ok, err = pcall(string.rep, "x", 100 * MEMORY)
    return ok, err
  end)
  lu.assertEquals({ task:await() }, { false, "not enough memory" })
end

function TestMemory:test_many_at_once()
  local tasks = {}
  for i = 1, 20 do
    tasks[i] = eddy.spawn_with({ memory = MEMORY }, function()
      local list = {}
      for n = 1, i % 2 == 0 and math.huge or 100 do
        table.insert(list, ("x"):rep(1000) .. n)
        if n % 50 == 0 then eddy.sleep(0) end
      end
    end)
  end
  for i, result in ipairs(eddy.settle(tasks)) do
    lu.assertEquals(result.ok, i % 2 == 1)
    if i % 2 == 0 then lu.assertEquals(result.err.code, "memory") end
  end
end

local TestBoth = { config = { slice = 0.002 } }

function TestBoth:test_whichever_comes_first()
  assert_limit(eddy.spawn_with({ cpu = CPU, memory = 1 << 40 }, forever), "cpu")
  assert_limit(eddy.spawn_with({ cpu = 1000, memory = MEMORY }, hoard, {}), "memory")
end

-- Preempted again and again, it is the same turn to its account.
function TestBoth:test_with_slices()
  local others, task = 0, eddy.spawn_with({ cpu = CPU }, forever)
  local other = eddy.spawn(function()
    while task:status() ~= "failed" do
      others = others + 1
      eddy.sleep(0)
    end
  end)
  assert_limit(task, "cpu")
  other:await()
  lu.assertTrue(others > 1)
end

local TestRoot = {}

--- What on_error hears in a run of `fn`: a list of {kind, code, name of the task}.
local function reported(fn)
  local errors = {}
  eddy.config { on_error = function(err, task) errors[#errors + 1] = { err.kind, err.code, task:name() } end }
  eddy.run(fn)
  eddy.config { on_error = false }
  return errors
end

function TestRoot:test_outside_a_background_task_is_reported()
  local name
  local errors = reported(function()
    local task = eddy.background(function()
      eddy.group(function(group) group:spawn_with({ cpu = CPU }, forever) end)
    end)
    name = task:name()
    repeat eddy.sleep(0) until task:status() == "failed"
  end)
  lu.assertEquals(errors, { { "limit", "cpu", name } })
end

function TestRoot:test_outside_one_that_was_awaited_is_not()
  local errors = reported(function()
    eddy.group(function(group)
      local task = group:spawn_with({ cpu = CPU, name = "x" }, forever)
      pcall(task.await, task)
    end)
  end)
  lu.assertEquals(errors, {})
end

function TestRoot:test_outside_it_ends_the_run()
  local ok, err = pcall(eddy.run, function()
    eddy.spawn_with({ cpu = CPU }, forever)
    eddy.sleep(1000)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "limit"))
end

return { TestCpu = TestCpu, TestMemory = TestMemory, TestBoth = TestBoth, TestRoot = TestRoot }
