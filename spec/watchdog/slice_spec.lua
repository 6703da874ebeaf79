-- SPDX-License-Identifier: MIT
-- Slices: others get a turn while a task computes, wherever Lua can be suspended, and nowhere else. No test
-- measures how soon: each would wait for ever without preemption, and is then stopped by its time limit.
local lu = ...
local eddy = require "eddy"
local spin = require "spec.support.spin"
local stock = require "spec.support.stock"

local SLICE = 0.002

--- Run `body(is_over)`, which must loop until is_over() is true without ever waiting.
local function assert_preempted(body)
  local is_over = false
  local task = eddy.spawn(body, function() return is_over end)
  for _ = 1, 3 do eddy.sleep(0) end   -- comes back only when somebody is preempted
  is_over = true
  return task:await()
end

local TestWhere = { config = { slice = SLICE } }

function TestWhere:test_loops()
  assert_preempted(function(is_over) while not is_over() do end end)
  assert_preempted(function(is_over) repeat until is_over() end)
  assert_preempted(function(is_over) for _ = 1, math.huge do if is_over() then break end end end)
  assert_preempted(function(is_over)
    ::again::
    if not is_over() then goto again end
  end)
  assert_preempted(function(is_over)
    local function again() if not is_over() then return again() end end
    return again()
  end)
end

function TestWhere:test_below_protected_calls()
  assert_preempted(function(is_over)
    while not is_over() do pcall(pcall, error, "x") end
  end)
  assert_preempted(function(is_over)
    return xpcall(function() while not is_over() do end end, print)
  end)
  assert_preempted(function(is_over)
    pcall(function() while not is_over() do end error "x" end)
  end)
end

function TestWhere:test_in_metamethods_iterators_and_closing_values()
  for _, name in ipairs { "__index", "__add", "__concat", "__len", "__eq", "__lt", "__call" } do
    assert_preempted(function(is_over)
      local meta = { [name] = function() while not is_over() do end return 1 end }
      local a, b = setmetatable({}, meta), setmetatable({}, meta)
      local acts = { __index = function() return a.x end, __add = function() return a + b end,
        __concat = function() return a .. b end, __len = function() return #a end, __eq = function() return a == b end,
        __lt = function() return a < b end, __call = function() return a() end }
      local value = acts[name]()
      assert(value == 1 or value == true)
    end)
  end
  assert_preempted(function(is_over)
    for _ in function() return not is_over() or nil end do end
  end)
  assert_preempted(function(is_over)
    local _ <close> = setmetatable({}, { __close = function() while not is_over() do end end })
  end)
  assert_preempted(function(is_over)
    pcall(function()
      local _ <close> = setmetatable({}, { __close = function() while not is_over() do end end })
      error "x"
    end)
  end)
end

function TestWhere:test_in_coroutines_and_generators()
  assert_preempted(function(is_over)
    local inner = coroutine.wrap(function()
      return coroutine.wrap(function() while not is_over() do end return "inner" end)()
    end)
    lu.assertEquals(inner(), "inner")
  end)
  assert_preempted(function(is_over)
    local wanted = 1
    for value in coroutine.wrap(function() for i = 1, math.huge do coroutine.yield(i) end end) do
      assert(value == wanted)
      wanted = value + 1
      if is_over() then break end
    end
  end)
  assert_preempted(function(is_over)
    local wanted = 1
    for value in eddy.gen(function(emit) for i = 1, math.huge do emit(i) end end) do
      assert(value == wanted)
      wanted = value + 1
      if is_over() then break end
    end
  end)
end

function TestWhere:test_every_task_gets_its_turns()
  local turns, is_over = { 0, 0, 0 }, false
  local tasks = {}
  for i = 1, 3 do
    tasks[i] = eddy.spawn(function() while not is_over do turns[i] = turns[i] + 1 end end)
  end
  for _ = 1, 4 do eddy.sleep(0) end
  is_over = true
  for i = 1, 3 do
    tasks[i]:await()
    lu.assertTrue(turns[i] > 0)
  end
end

-- A status in between, and a cancel of what is preempted, are as for any task that is ready.
function TestWhere:test_a_preempted_task_is_ready()
  local is_over = false
  local task = eddy.spawn(function() while not is_over do end return "done" end)
  eddy.sleep(0)
  lu.assertEquals(task:status(), "ready")
  lu.assertStrContains(task:traceback(), "slice_spec")
  lu.assertTrue(task:cancel())
  is_over = true
  lu.assertEquals(task:await(), "done")   -- it did not wait, so it was not interrupted
end

local TestWhereNot = { config = { slice = SLICE } }

--- Nobody gets a turn while `body(work)` calls work(), which takes ten slices.
local function assert_alone(body)
  local others, is_over = 0, false
  local other = eddy.spawn(function()
    while not is_over do
      others = others + 1
      eddy.sleep(0)
    end
  end)
  eddy.sleep(0)
  local seen
  local function work()
    local before = others
    spin(10 * SLICE)
    seen = others - before
  end
  body(work)
  is_over = true
  other:await()
  lu.assertEquals(seen, 0)
end

function TestWhereNot:test_atomic()
  assert_alone(function(work) eddy.atomic(work) end)
  assert_alone(function(work) eddy.atomic(function() coroutine.wrap(work)() end) end)
end

function TestWhereNot:test_below_c_functions()
  assert_alone(function(work) table.sort({ 2, 1 }, function(a, b) work() return a < b end) end)
  assert_alone(function(work) string.gsub("x", "x", work) end)
  assert_alone(function(work) tostring(setmetatable({}, { __tostring = function() work() return "" end })) end)
  assert_alone(function(work)   -- a coroutine could be suspended, but not what it was resumed from
    local step = coroutine.wrap(work)
    string.gsub("x", "x", function() step() end)
  end)
  assert_alone(function(work) xpcall(error, work) end)
end

function TestWhereNot:test_in_coroutines_of_the_stock_library()
  assert_alone(function(work) stock.wrap(work)() end)
end

-- Afterwards it happens.
function TestWhereNot:test_postponed_until_it_is_possible()
  assert_preempted(function(is_over)
    eddy.atomic(spin, 5 * SLICE)
    while not is_over() do end
  end)
  assert_preempted(function(is_over)
    stock.wrap(spin)(5 * SLICE)
    while not is_over() do end
  end)
end

-- ---- Options, and other parts ------------------------------------------------------------------------

local TestOptions = {}

function TestOptions:test_for_one_task()
  local is_over = false
  local task = eddy.spawn_with({ slice = SLICE }, function() while not is_over do end end)
  for _ = 1, 3 do eddy.sleep(0) end
  is_over = true
  task:await()
  eddy.group(function(group)
    is_over = false
    group:spawn_with({ slice = SLICE, name = "x" }, function() while not is_over do end end)
    eddy.sleep(0)
    is_over = true
  end)
end

function TestOptions:test_other_tasks_are_left_alone()
  local limited = eddy.spawn_with({ slice = SLICE }, function() eddy.sleep(0) end)
  local others = 0
  local other = eddy.spawn(function()
    while limited:status() ~= "done" do others = others + 1 eddy.sleep(0) end
  end)
  eddy.sleep(0)
  local before = others
  spin(10 * SLICE)
  lu.assertEquals(others, before)
  limited:await()
  other:await()
end

function TestOptions:test_bad_values()
  local function nothing() end
  for _, name in ipairs { "slice", "cpu", "memory" } do
    for _, value in ipairs { 0, -1, 0 / 0, "1", true } do
      lu.assertErrorMsgContains("spawn_with option '" .. name .. "' must be a positive number",
        eddy.spawn_with, { [name] = value }, nothing)
    end
    eddy.spawn_with({ [name] = math.huge }, nothing):await()
  end
  lu.assertEquals(eddy.stats().tasks, 1)
end

function TestOptions:test_outside_config()
  for _, name in ipairs { "slice", "warn_blocking" } do
    for _, value in ipairs { 0, -1, 0 / 0, "1" } do
      lu.assertErrorMsgContains("config option '" .. name .. "' must be a positive", eddy.config, { [name] = value })
    end
    eddy.config { [name] = 1 }
    eddy.config { [name] = false }
  end
end

-- One option does not undo another one.
function TestOptions:test_outside_config_is_kept()
  eddy.config { slice = SLICE }
  eddy.config { kill_grace = 1 }
  eddy.run(function()
    assert_preempted(function(is_over) while not is_over() do end end)
  end)
  eddy.config { slice = false, kill_grace = false }
end

local TestManual = { config = { slice = SLICE }, clock = "manual" }

function TestManual:test_slices_are_of_real_time()
  local from = eddy.now()
  assert_preempted(function(is_over) while not is_over() do end end)
  lu.assertEquals(eddy.now(), from)
end

-- The clock does not jump to the deadline while a task can run.
function TestManual:test_a_preempted_task_keeps_the_clock()
  local n = 0
  eddy.timeout(1, function() spin(5 * SLICE) n = 1 end)
  lu.assertEquals(n, 1)
end

local TestDeadlines = { config = { slice = SLICE, kill_grace = 0.05 } }

function TestDeadlines:test_a_loop_can_notice_its_deadline()
  local function body() while not eddy.cancelled() do end end
  lu.assertFalse((eddy.within(0.02, function() body() eddy.sleep(1) end)))
end

-- One that does not is killed when the grace is over; its clean-up runs.
function TestDeadlines:test_one_that_does_not_is_killed()
  local closed = false
  local task = eddy.spawn(eddy.timeout, 0.02, function()
    local _ <close> = setmetatable({}, { __close = function() closed = true end })
    while true do pcall(error, "x") end
  end)
  local ok = task:join()
  lu.assertFalse(ok)
  lu.assertEquals({ task:status(), closed }, { "cancelled", true })
end

function TestDeadlines:test_a_shield_is_exempt()
  local task = eddy.spawn(function()
    eddy.shield(math.huge, function() spin(0.2) end)
    return "done"
  end)
  eddy.sleep(0)
  task:cancel()
  lu.assertEquals({ task:join() }, { true, "done" })
end

-- ---- Debug hooks ---------------------------------------------------------------------------------------

local TestHooks = { config = { slice = SLICE } }

function TestHooks:test_a_users_hook_is_kept()
  local lines = 0
  assert_preempted(function(is_over)
    local function hook() lines = lines + 1 end
    debug.sethook(hook, "l")
    while not is_over() do end
    lu.assertEquals({ debug.gethook() }, { hook, "l", 0 })
    debug.sethook()
  end)
  lu.assertTrue(lines > 0)
end

function TestHooks:test_none_is_left_behind()
  assert_preempted(function(is_over)
    local inner = coroutine.create(function() while not is_over() do end coroutine.yield() end)
    coroutine.resume(inner)
    spin(3 * SLICE)
    coroutine.resume(inner)
    lu.assertNil((debug.gethook(inner)))
  end)
  lu.assertNil((debug.gethook()))
end

-- ---- What it costs the process ----------------------------------------------------------------------

local TestProcess = {}

--- The number behind `name` in what Linux says about this process, or nil.
local function status(name)
  local file <close> = io.open "/proc/self/status"
  return file and file:read "a":match("\n" .. name .. ":%s*(%x+)")
end

function TestProcess:test_outside_no_thread_unasked()
  if not status "Threads" then lu.skip "no /proc" end
  local inside
  eddy.run(function() eddy.sleep(0) end)
  local before = status "Threads"
  eddy.run(function() inside = status "Threads" end)
  lu.assertEquals(inside, before)
  eddy.run(function()
    eddy.spawn_with({ memory = 1e6 }, function() inside = status "Threads" end):await()
  end)
  lu.assertEquals(inside, before)
  eddy.run(function()
    eddy.spawn_with({ slice = 1 }, function() inside = status "Threads" end):await()
  end)
  lu.assertEquals(tonumber(inside), tonumber(before) + 1)
  lu.assertEquals(status "Threads", before)
end

function TestProcess:test_outside_the_signal_is_given_back()
  if not status "SigCgt" then lu.skip "no /proc" end
  local before = status "SigCgt"
  eddy.config { slice = SLICE }
  eddy.run(function()
    assert_preempted(function(is_over) while not is_over() do end end)
  end)
  eddy.config { slice = false }
  lu.assertEquals(status "SigCgt", before)
end

return { TestWhere = TestWhere, TestWhereNot = TestWhereNot, TestOptions = TestOptions, TestManual = TestManual,
  TestDeadlines = TestDeadlines, TestHooks = TestHooks, TestProcess = TestProcess }
