-- SPDX-License-Identifier: MIT
-- Statements 164 to 183: hosts, threads, the end of a state, signals. One test for each, named by its
-- number. What needs the C interface of hosts (operations, stepping, closing: 164 to 169, 171, 175 to 178)
-- is in spec/host/conformance_ops_test.c and conformance_life_test.c.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local TestHost = {}

local function statement(text, options)
  return process.eddy({ "-e", 'local eddy = require "eddy"\n' .. text }, options)
end

local function job_flag()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- The Lua side of it; work in C is the embedding API's.
function TestHost:test_outside_s170_cancelled_jobs()
  eddy.config { workers = 1 }
  local ok, err = pcall(eddy.run, function()
    local started, go_on, ran = job_flag(), job_flag(), job_flag()
    local running = eddy.spawn(eddy.offload, function(mine, theirs)
      io.open(mine, "w"):close()
      local file
      repeat file = io.open(theirs) until file
      file:close()
      return ("result"):rep(1000)
    end, started, go_on)
    while not exists(started) do eddy.sleep(0.001) end
    local queued = eddy.spawn(eddy.offload, function(path) io.open(path, "w"):close() end, ran)
    eddy.sleep(0)
    eddy.sleep(0)
    lu.assertEquals({ running:status(), queued:status() }, { "waiting", "waiting" })
    queued:cancel()
    running:cancel()
    queued:join()
    io.open(go_on, "w"):close()
    lu.assertFalse((running:join()))
    lu.assertEquals({ running:status(), queued:status() }, { "cancelled", "cancelled" })
    lu.assertEquals(eddy.offload(function() return "the next one" end), "the next one")
    eddy.sleep(0.01)
    lu.assertFalse(exists(ran))
    lu.assertEquals({ eddy.stats().jobs, eddy.stats().operations }, { 0, 0 })
    os.remove(started)
    os.remove(go_on)
  end)
  eddy.config { workers = false }
  if not ok then error(err, 0) end
end

function TestHost:test_outside_s172_the_state_ends_without_more_ado()
  -- At several points: not started, asleep, in a gather, in a generator, with a queue, behind a shield.
  local result = statement [[
    local function noting(name, fn)
      return function(...)
        local _ <close> = setmetatable({}, { __close = function() print(name, (pcall(eddy.sleep, 1))) end })
        return fn(...)
      end
    end
    eddy.spawn(noting("sleep", function() eddy.sleep(1000) end))
    eddy.spawn(noting("gather", function() eddy.gather(noting("member", function() eddy.sleep(1000) end)) end))
    eddy.spawn(noting("shield", function() eddy.shield(math.huge, eddy.sleep, 1000) end))
    eddy.spawn(noting("queue", function() eddy.queue():get() end))
    eddy.spawn(noting("wrap", function() coroutine.wrap(noting("inner", function() eddy.sleep(1000) end))() end))
    eddy.spawn(noting("swallowing", function() while true do pcall(eddy.sleep, 1000) end end))
    eddy.sleep(0) eddy.sleep(0)
    eddy.spawn(noting("never started", function() end))
    local began = eddy.now()
    setmetatable({}, { __gc = function() print("time", eddy.now() - began < 5) end })
    os.exit(0, true)]]
  lu.assertEquals({ result.code, result.stderr }, { 0, "" })
  local lines = {}
  for line in result.stdout:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  lu.assertEquals(lines, { "gather\tfalse", "inner\tfalse", "member\tfalse", "queue\tfalse", "shield\tfalse",
    "sleep\tfalse", "swallowing\tfalse", "time\ttrue", "wrap\tfalse" })
end

function TestHost:test_outside_s173_errors_do_not_stop_the_end()
  local result = statement [[
    local function closing(name)
      return setmetatable({}, { __close = function() print(name) error("in " .. name) end })
    end
    for i = 1, 3 do
      eddy.spawn(function()
        local _ <close> = closing("close " .. i .. " outer")
        local _ <close> = closing("close " .. i .. " inner")
        eddy.sleep(1000)
      end)
    end
    for i = 1, 2 do setmetatable({}, { __gc = function() print("gc " .. i) error "in gc" end }) end
    eddy.sleep(0)
    os.exit(0, true)]]
  lu.assertEquals(result.code, 0)
  local lines = {}
  for line in result.stdout:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  lu.assertEquals(lines, { "close 1 inner", "close 1 outer", "close 2 inner", "close 2 outer", "close 3 inner",
    "close 3 outer", "gc 1", "gc 2" })
  -- At the end of a run: an on_error that fails holds up nothing.
  -- (In a worker, because the program itself is in a run; and in a process, because it is told on stderr.)
  result = statement [[ print(eddy.offload(function()
    local eddy = require "eddy"
    local calls, ended = 0, 0
    eddy.config { on_error = function() calls = calls + 1 error "in on_error" end }
    pcall(eddy.run, function()
      for _ = 1, 3 do
        eddy.background(function()
          local _ <close> = setmetatable({}, { __close = function() ended = ended + 1 error "in close" end })
          eddy.sleep(1000)
        end)
      end
      eddy.sleep(0)
    end)
    return ended, calls, eddy.stats().tasks, (eddy.run(function() eddy.sleep(0) return "again" end))
  end))]]
  lu.assertEquals({ result.code, result.stdout }, { 0, "3\t3\t0\tagain\n" })
end

function TestHost:test_s174_two_runtimes()
  -- In two threads: each worker is a state of its own, and in it eddy runs as here.
  local others = eddy.spawn(eddy.offload, function()
    local inner = require "eddy"
    local current_before = inner.current()
    local name, tasks = inner.run(function()
      local sum, list = 0, {}
      for i = 1, 10 do list[i] = inner.spawn(function() inner.sleep(0.001 * i) sum = sum + i end) end
      inner.gather(list)
      return sum, inner.stats().tasks
    end)
    return name, tasks, current_before, inner.stats().tasks
  end)
  local mine = eddy.stats().tasks
  local ticks = 0
  while others:status() ~= "done" and others:status() ~= "failed" and ticks < 10000 do
    ticks = ticks + 1
    eddy.sleep(0.001)
    lu.assertEquals(eddy.stats().tasks, mine - (others:status() == "done" and 1 or 0))
  end
  lu.assertEquals(table.pack(others:await()), { 55, 1, nil, 0, n = 4 })
  -- In one thread: spec/support/lua.c, the interpreter of `make sanitize`, has a second state to run in.
  local has_foreign, foreign = pcall(require, "spec.foreign")
  if not has_foreign then return end
  local sleeper = eddy.spawn(function() eddy.sleep(0.01) return "mine" end)
  lu.assertEquals(foreign.run [[
    local eddy = require "eddy"
    return eddy.run(function() eddy.sleep(0.001) return "theirs" .. eddy.stats().tasks end)]], "theirs1")
  lu.assertEquals(sleeper:await(), "mine")
end

function TestHost:test_outside_s180_a_runaway_is_preempted_and_killed()
  eddy.config { slice = 0.002 }
  local others, failed, code = 0, nil, nil
  eddy.run(function()
    for _, runaway in ipairs { function() while true do end end, function() while true do pcall(error) end end } do
      local task = eddy.spawn_with({ cpu = 0.05 }, runaway)
      eddy.spawn(function() while task:status() ~= "failed" do others = others + 1 eddy.sleep(0) end end)
      local ok, err = task:join()
      failed, code = not ok, err.code
    end
  end)
  eddy.config { slice = false }
  lu.assertEquals({ failed, code }, { true, "cpu" })
  lu.assertTrue(others >= 4, others)
end

function TestHost:test_outside_s181_a_memory_limit_ends_one_task()
  local ok, err, other = eddy.run(function()
    local other = eddy.spawn(function() eddy.sleep(0) return ("x"):rep(1 << 21) end)
    local ok, err = eddy.spawn_with({ memory = 1 << 20 }, function()
      local list = {}
      while true do list[#list + 1] = ("x"):rep(1000) .. #list end
    end):join()
    return ok, err, #other:await()
  end)
  lu.assertEquals({ ok, err.code, other }, { false, "memory", 1 << 21 })
end

function TestHost:test_outside_s182_a_deadlock_lists_who_waits_for_what()
  local ok, err = pcall(eddy.run, function()
    local lock = eddy.lock()
    eddy.spawn_with({ name = "holder" }, function()
      local _ <close> = lock:acquire()
      eddy.event():wait()
    end)
    eddy.spawn_with({ name = "waiter" }, function() local _ <close> = lock:acquire() end)
    eddy.spawn_with({ name = "reader" }, function() eddy.queue():get() end)
    eddy.spawn_with({ name = "ended" }, function() end)
    eddy.semaphore(0):acquire()
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "deadlock"), tostring(err))
  local lines = {}
  for line in err.message:gmatch "[^\n]+" do lines[#lines + 1] = line end
  local function line_of(name)
    for _, line in ipairs(lines) do
      if line:find(name .. ":", 1, true) then return line end
    end
    return "no line of " .. name
  end
  lu.assertStrContains(line_of "main", "semaphore:acquire")
  lu.assertStrContains(line_of "holder", "event:wait")
  lu.assertStrContains(line_of "waiter", "lock:acquire")
  lu.assertStrContains(line_of "waiter", "holder")
  lu.assertStrContains(line_of "reader", "queue:get")
  lu.assertNotStrContains(err.message, "ended:")
  lu.assertEquals(eddy.stats().tasks, 0)
  -- What somebody outside may still complete is none.
  lu.assertEquals(eddy.run(function() eddy.sleep(0.001) return "no deadlock" end), "no deadlock")
end

function TestHost:test_outside_s183_interrupts()
  local SIGNAL = 'local function interrupt() io.popen("kill -INT $PPID"):close() end\n'
  local result = statement(SIGNAL .. [[
    interrupt()
    local ok, err = pcall(eddy.sleep, 1000)
    print(ok, err.kind, err.reason)
    eddy.sleep(1000)]], { timeout = 20 })
  lu.assertEquals({ result.code, result.stdout, result.stderr }, { 130, "false\tcancelled\tinterrupt\n", "" })
  result = statement(SIGNAL .. [[
    local _ <close> = setmetatable({}, { __close = function()
      print "clean-up"
      io.stdout:flush()
      interrupt()
      eddy.shield(1000, eddy.sleep, 1000)
      print "never"
    end })
    interrupt()
    eddy.sleep(1000)]], { timeout = 20 })
  lu.assertEquals({ result.timed_out, result.code, result.stdout }, { false, 130, "clean-up\n" })
end

return { TestHost = TestHost }
