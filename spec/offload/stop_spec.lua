-- SPDX-License-Identifier: MIT
-- Cancelling, deadlines, the end of a run and of the state, while workers work. Nothing may be left
-- of any of it: no thread, no job, no handle.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"
local waits = require "spec.support.waits"

local function endless() while true do end end

local function settle() for _ = 1, 3 do eddy.sleep(0) end end

local function start(fn, ...)
  local task = eddy.spawn(eddy.offload, fn, ...)
  settle()
  return task
end

local function assert_cancelled(task)
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cancelled"))
  lu.assertEquals(task:status(), "cancelled")
end

-- A file that exists is how a job in another state is told to go on.
local function new_flag() local path = os.tmpname() os.remove(path) return path end
local function raise_flag(path) io.open(path, "w"):close() end
local function await_flag(path)
  local file = io.open(path)
  while not file do file = io.open(path) end
  file:close()
  os.remove(path)
  return "went on"
end

-- Until the job is with a worker: it says so by raising a flag.
local function wait_for(path)
  while true do
    local file = io.open(path)
    if file then
      file:close()
      os.remove(path)
      return
    end
    eddy.sleep(0.001)
  end
end

-- Libuv lets go of handles in its next turn.
local function assert_nothing_open()
  eddy.sleep(0.001)
  lu.assertEquals({ eddy.stats().jobs, eddy.stats().handles, eddy.stats().operations }, { 0, 0, 0 })
end

local suite = {}

suite.TestWait = waits.class(lu, {
  setup = function()
    local flag = new_flag()
    return waits.env({ flag = flag }, { close = function() os.remove(flag) end })   -- raised when nobody waited any more
  end,
  wait = function(env) return eddy.offload(await_flag, env.flag) end,
  finish = function(env) raise_flag(env.flag) end,
  check = function(_, env, ...)
    lu.assertEquals({ ... }, { "went on" })
    os.remove(env.flag)
  end,
  is_alone = true,
})

-- ---- Cancelling --------------------------------------------------------------------------------

local TestCancel = { config = { workers = 1 } }
suite.TestCancel = TestCancel

function TestCancel:test_a_queued_job_never_runs()
  local flag, trace = new_flag(), new_flag()
  local first = start(await_flag, flag)
  local second = start(function(path) io.open(path, "w"):close() end, trace)
  lu.assertEquals(eddy.stats().jobs, 2)
  lu.assertTrue(second:cancel())
  assert_cancelled(second)
  lu.assertEquals(eddy.stats().jobs, 1)
  raise_flag(flag)
  lu.assertEquals(first:await(), "went on")
  eddy.offload(math.abs, 1)
  lu.assertNil(io.open(trace))
end

function TestCancel:test_a_running_job_is_stopped()
  for _ = 1, 5 do
    local task = start(endless)
    task:cancel()
    assert_cancelled(task)
    assert_nothing_open()
  end
  lu.assertEquals(eddy.offload(math.abs, -2), 2)
end

function TestCancel:test_the_state_of_a_stopped_job_is_thrown_away()
  eddy.offload(function() kept = true end)  -- luacheck: ignore
  lu.assertTrue(eddy.offload(function() return kept end))  -- luacheck: ignore
  lu.assertFalse(eddy.within(0.01, eddy.offload, endless))
  lu.assertNil(eddy.offload(function() return kept end))  -- luacheck: ignore
end

local loops = {
  plain = endless,
  pcall = function() while true do pcall(function() while true do end end) end end,
  nested_pcall = function()
    local function nest(n) while true do pcall(n > 0 and nest or function() while true do end end, n - 1) end end
    nest(20)
  end,
  xpcall = function() while true do xpcall(function() while true do end end, function() return "handled" end) end end,
  coroutine = function() coroutine.wrap(function() while true do end end)() end,
  coroutines = function()
    local function deeper(n)
      while n == 0 do end
      coroutine.wrap(deeper)(n - 1)
    end
    while true do pcall(deeper, 20) end
  end,
  resume = function()
    while true do
      local co = coroutine.create(function() while true do coroutine.yield() end end)
      for _ = 1, 100 do coroutine.resume(co) end
    end
  end,
  sort = function() while true do table.sort({ 3, 2, 1, 5, 4 }, function(a, b) return a < b end) end end,
  gsub = function() while true do local _ = ("x"):rep(100):gsub("x", function() return "y" end) end end,
  metamethod = function()
    local t = setmetatable({}, { __index = function(self, key) return self[key + 1] end })
    while true do pcall(function() return t[1] end) end
  end,
  close = function()
    while true do
      local _ <close> = setmetatable({}, { __close = function() for _ = 1, 1000 do end end })
    end
  end,
  strings = function() local s = "" while true do s = s .. "x" if #s > 1000 then s = "" end end end,
  load = function() while true do load("return 1")() end end,
  run = function() require("eddy").run(function() while true do end end) end,
  run_sleep = function() local eddy = require "eddy" eddy.run(eddy.sleep, math.huge) end,  -- luacheck: ignore
  run_many = function()
    local eddy = require "eddy"  -- luacheck: ignore
    eddy.run(function() for _ = 1, 10 do eddy.spawn(function() while true do eddy.sleep(0) end end) end end)
  end,
  run_coroutine = function()
    require("eddy").run(function() coroutine.wrap(function() while true do end end)() end)
  end,
  run_inside_coroutine = function()
    coroutine.wrap(function() require("eddy").run(function() while true do end end) end)()
  end,
  run_offload = function() local eddy = require "eddy" eddy.run(eddy.offload, function() while true do end end) end,  -- luacheck: ignore
}

for name, loop in pairs(loops) do
  TestCancel["test_endless_" .. name] = function()
    -- It is stopped, and not left behind: then each wait would last for the whole patience.
    local quickest = math.huge
    for _ = 1, 5 do
      local began = eddy.now()
      lu.assertFalse(eddy.within(0.05, eddy.offload, loop))
      assert_nothing_open()
      quickest = math.min(quickest, eddy.now() - began)
      if quickest < 0.2 then break end   -- else the machine is busy
    end
    lu.assertTrue(quickest < 0.2, quickest)
    lu.assertEquals(eddy.offload(math.abs, -1), 1)
  end
end

function TestCancel:test_close_variables_of_a_stopped_job_run()
  local trace, begun = new_flag(), new_flag()
  local task = eddy.spawn(eddy.offload, function(path, has_begun)
    local _ <close> = setmetatable({}, { __close = function()
      local file = io.open(path, "w")
      for _ = 1, 100 do file:write("x") end
      file:close()
    end })
    io.open(has_begun, "w"):close()
    while true do end
  end, trace, begun)
  wait_for(begun)
  task:cancel()
  assert_cancelled(task)
  local file <close> = io.open(trace)
  lu.assertEquals(file:read("a"), ("x"):rep(100))
  os.remove(trace)
end

function TestCancel:test_a_result_of_the_same_turn_is_delivered()
  local got
  local task = eddy.spawn(function()
    got = eddy.offload(math.abs, -7)
    eddy.sleep(0)
    error "not reached"
  end)
  settle()
  while task:status() == "waiting" do eddy.sleep(0) end   -- it has its answer, but has not run
  task:cancel()
  assert_cancelled(task)
  lu.assertEquals(got, 7)
end

function TestCancel:test_results_after_a_cancel_are_dropped()
  for _ = 1, 200 do
    local task = start(function() return ("x"):rep(10000) end)
    task:cancel()
    task:join()
  end
  lu.assertEquals(eddy.offload(math.abs, -1), 1)
end

function TestCancel:test_a_failing_sibling_stops_it()
  local ok, err = pcall(eddy.gather, function() eddy.offload(endless) end, function() eddy.sleep(0.01) error("x", 0) end)
  lu.assertEquals({ ok, err }, { false, "x" })
  assert_nothing_open()
end

function TestCancel:test_a_shield_keeps_it_running()
  local flag = new_flag()
  local got
  local task = eddy.spawn(function() eddy.shield(10, function() got = eddy.offload(await_flag, flag) end) end)
  settle()
  task:cancel()
  settle()
  lu.assertEquals(task:status(), "waiting")
  raise_flag(flag)
  task:join()
  lu.assertEquals(got, "went on")
end

function TestCancel:test_the_signal_is_left_as_it_was()
  local function handlers()
    local file = io.open("/proc/self/status")
    if not file then return "unknown" end
    local text = file:read("a")
    file:close()
    return text:match("SigCgt:%s*(%x+)"), text:match("SigIgn:%s*(%x+)")
  end
  local before = { handlers() }
  eddy.within(0.01, eddy.offload, endless)
  lu.assertEquals({ handlers() }, before)
end

function TestCancel:test_in_a_c_function_that_goes_on()
  local began = eddy.now()
  lu.assertFalse(eddy.within(0.02, eddy.offload, function()
    local text = ("x"):rep(1 << 20)
    for _ = 1, 200 do text:rep(50):find("y", 1, true) end   -- each call takes some milliseconds
  end))
  lu.assertTrue(eddy.now() - began < 2)
  lu.assertEquals(eddy.offload(math.abs, -1), 1)
end

-- ---- Ends --------------------------------------------------------------------------------------

local TestEnd = {}
suite.TestEnd = TestEnd

local prelude = [[
  local eddy = require "eddy"
  local function threads()
    local n = 0
    for _ in io.popen("ls /proc/" .. io.open("/proc/self/stat"):read("n") .. "/task"):lines() do n = n + 1 end
    return n
  end
  local function endless() while true do end end
  local function stuck() return ("a"):rep(30):find(("a?"):rep(30) .. ("a"):rep(30) .. "b") end
]]

local function run_program(source, ...)
  return process.eddy { "-W", "-e", prelude .. source, ... }
end

function TestEnd:test_outside_a_run_that_offloads_nothing_has_no_thread()
  local result = run_program [[print(threads())]]
  lu.assertEquals({ result.stdout, result.stderr, result.code }, { "1\n", "", 0 })
end

function TestEnd:test_outside_no_thread_survives_its_run()
  local function threads()
    local pid = io.open("/proc/self/stat")
    if not pid then return 1 end
    local pipe <close> = io.popen(("ls /proc/%d/task | wc -l"):format(pid:read("n")))
    pid:close()
    return pipe:read("n")
  end
  local before, during = threads(), nil
  for _ = 1, 3 do
    eddy.run(function()
      eddy.offload_map({ 1, 2, 3, 4 }, function(i) return i end)
      during = threads()
      eddy.background(eddy.offload, endless)
      eddy.within(0.01, eddy.offload, endless)
    end)
    lu.assertTrue(during > before or before == 1)
    lu.assertEquals(threads(), before)
  end
end

function TestEnd:test_outside_the_root_fails_while_a_job_runs()
  local result = run_program [[
    eddy.spawn(eddy.offload, endless)
    eddy.sleep(0.01)
    error("root", 0)]]
  lu.assertStrContains(result.stderr, "root")
  lu.assertEquals(result.code, 1)
end

function TestEnd:test_outside_exit_while_jobs_run()
  local result = run_program [[
    for _ = 1, 8 do eddy.spawn(eddy.offload, endless) end
    eddy.sleep(0.02)
    os.exit(3, true)]]
  lu.assertEquals({ result.stdout, result.stderr, result.code }, { "", "", 3 })
end

function TestEnd:test_outside_exit_without_closing_while_jobs_run()
  local result = run_program [[
    for _ = 1, 8 do eddy.spawn(eddy.offload, endless) end
    eddy.sleep(0.02)
    os.exit(4)]]
  lu.assertEquals({ result.stdout, result.stderr, result.code }, { "", "", 4 })
end

function TestEnd:test_outside_a_worker_that_is_stuck_is_left_behind()
  local result = run_program [[
    local handles = eddy.stats().handles
    print(eddy.within(0.02, eddy.offload, stuck))
    local began = eddy.now()
    print(eddy.offload(math.abs, -1))   -- another one does the work
    eddy.sleep(0.001)   -- libuv lets go of handles in its next turn
    print(eddy.now() - began < 1, eddy.stats().jobs, eddy.stats().handles - handles)]]
  lu.assertEquals(result.stdout, "false\n1\ntrue\t0\t0\n")
  lu.assertStrContains(result.stderr, "a worker is stuck in a C function; it is left behind")
  lu.assertEquals(result.code, 0)
end

function TestEnd:test_outside_killed_while_stuck()
  local result = run_program [[
    eddy.spawn(eddy.offload, stuck)
    eddy.sleep(0.02)
    os.exit(5, true)]]
  lu.assertStrContains(result.stderr, "it is left behind")
  lu.assertEquals(result.code, 5)
end

function TestEnd:test_outside_interrupt()
  local result = run_program [[
    os.execute("(sleep 0.1; kill -INT " .. io.open("/proc/self/stat"):read("n") .. ") &")
    eddy.offload(endless)]]
  lu.assertEquals(result.code, 130)
end

-- ---- Many --------------------------------------------------------------------------------------

local TestMany = { timeout = 120 }
suite.TestMany = TestMany

function TestMany:test_ten_thousand_small_jobs()
  local n, sum = 10000, 0
  local list = {}
  for i = 1, n do list[i] = i end
  for _, value in ipairs(eddy.offload_map(list, function(i) return 2 * i end, { limit = 64 })) do sum = sum + value end
  lu.assertEquals(sum, n * (n + 1))
end

function TestMany:test_many_at_once()
  local tasks = {}
  for i = 1, 1000 do tasks[i] = eddy.spawn(eddy.offload, function(t) return t end, { i, tostring(i) }) end
  settle()
  for i, task in ipairs(tasks) do lu.assertEquals(task:await(), { i, tostring(i) }) end
end

function TestMany:test_cancels_in_every_state()
  math.randomseed(11)
  for _ = 1, 30 do
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = eddy.spawn(eddy.offload, function(n) for _ = 1, n do end return n end, math.random(0, 20000))
    end
    for _ = 1, math.random(4) do eddy.sleep(0) end
    for i = 1, 20 do if math.random(2) == 1 then tasks[i]:cancel() end end
    for i = 1, 20 do
      local ok, value = tasks[i]:join()
      lu.assertTrue(ok and math.type(value) == "integer" or eddy.is(value, "cancelled"))
    end
  end
  assert_nothing_open()
end

local TestManual = { clock = "manual" }
suite.TestManual = TestManual

function TestManual:test_the_clock_stands_while_a_job_is_out()
  local began = eddy.now()
  lu.assertEquals(eddy.timeout(1, eddy.offload, function() local n = 0 for i = 1, 3000000 do n = n + i end return n end),
    4500001500000)
  lu.assertEquals(eddy.now(), began)
end

return suite
