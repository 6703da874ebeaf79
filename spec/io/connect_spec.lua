-- SPDX-License-Identifier: MIT
-- Connecting: targets, failures, cancelling at each stage, name lookup, racing addresses. What needs
-- a name service that obeys runs in a process of its own with spec/io/names.c preloaded.
local lu = ...
local eddy = require "eddy"
local net = require "eddy.net"
local pair = require "spec.io.pair"
local process = require "spec.support.process"

local function local_port(port) return { host = "127.0.0.1", port = port } end

-- ---- Targets -----------------------------------------------------------------------------------

local TestTarget = {}

function TestTarget:test_ways_to_say_it()
  local listener <close> = assert(net.listen { port = 0 })
  for _, target in ipairs {
    "127.0.0.1:" .. listener.port, local_port(listener.port), "localhost:" .. listener.port,
    { host = "localhost", port = listener.port },
  } do
    local stream <close> = assert(net.connect(target))
    lu.assertEquals({ stream:peername() }, { "127.0.0.1", listener.port })
  end
end

function TestTarget:test_ipv6()
  local listener, err = net.listen "[::1]:0"
  if not listener then lu.skip("no IPv6 here: " .. tostring(err)) end
  local guard <close> = listener
  lu.assertEquals(listener.host, "::1")
  lu.assertEquals(tostring(listener), "eddy.Listener [::1]:" .. listener.port)
  local stream <close> = assert(net.connect("[::1]:" .. listener.port))
  lu.assertEquals({ stream:peername() }, { "::1", listener.port })
  lu.assertStrContains(tostring(stream), "[::1]:" .. listener.port)
end

function TestTarget:test_misuse()
  for target, message in pairs {
    ["host"] = "not a target", ["::1:80"] = "not a target", ["http://a:80"] = "not a target", [":80"] = "without a host",
    ["a:0"] = "not a port", ["a:65536"] = "not a port", ["a:99999999999999999999"] = "not a port", ["unix:"] = "not a target",
  } do
    lu.assertErrorMsgContains(message, net.connect, target)
  end
  for message, target in pairs {
    ["without a host"] = { port = 1 }, ["not a port"] = { host = "a" }, ["integer expected"] = { host = "a", port = "80" },
    ["unknown option 'hots'"] = { hots = "a", port = 1 }, ["option 'tls': boolean or table expected"] = { host = "a", port = 1, tls = 1 },
    ["a path, or"] = { host = "a", path = "b" }, ["unknown option 'backlog'"] = { host = "a", port = 1, backlog = 1 },
  } do
    lu.assertErrorMsgContains(message, net.connect, target)
  end
  lu.assertErrorMsgContains("connect_spec.lua", function() net.connect(true) end)   -- where it was called
  lu.assertErrorMsgContains("not a host name", net.connect, { host = "a\0b", port = 1 })
  lu.assertErrorMsgContains("cannot await inside", table.sort, { 1, 2 }, function() net.connect "127.0.0.1:1" end)
end

function TestTarget:test_outside_a_run()
  lu.assertErrorMsgContains("cannot await outside a task", net.connect, "127.0.0.1:1")
  lu.assertErrorMsgContains("cannot await outside a task", net.connect, "unix:/nowhere")
end

-- ---- Failures ----------------------------------------------------------------------------------

local TestFailure = {}

local function expect(target, kind, code, op, name)
  local stream, err = net.connect(target)
  lu.assertNil(stream)
  lu.assertEquals({ err.kind, err.code, err.op, err.target }, { kind, code, op, name })
  return err
end

function TestFailure:test_refused()
  local port = pair.dead_port()
  local err = expect(local_port(port), "io", "ECONNREFUSED", "connect", "127.0.0.1:" .. port)
  lu.assertNil(err.suppressed)
  expect("localhost:" .. port, "io", "ECONNREFUSED", "connect", "localhost:" .. port)
end

function TestFailure:test_no_such_path()
  local path = pair.path()
  expect("unix:" .. path, "io", "ENOENT", "connect", "unix:" .. path)
  local long = ("x"):rep(200)
  lu.assertEquals(select(2, net.connect { path = long }).code, "ENAMETOOLONG")
  lu.assertEquals(select(2, net.connect { path = "a\0b" }).code, "EINVAL")
end

function TestFailure:test_unknown_host()
  local _, err = net.connect "no-such-host.invalid:80"
  lu.assertEquals({ err.kind, err.op, err.target }, { "io", "resolve", "no-such-host.invalid:80" })
  lu.assertTrue(err.code == "ENOTFOUND" or err.code == "EAGAIN", err.code)
  _, err = net.connect { host = ("x"):rep(300), port = 80 }
  lu.assertEquals({ err.code, err.op }, { "ENOTFOUND", "resolve" })
end

function TestFailure:test_unreachable()
  local stream, err = net.connect "255.255.255.255:1"
  lu.assertNil(stream)
  lu.assertEquals(err.op, "connect")
end

-- ---- Cancelling --------------------------------------------------------------------------------

local TestCancel = {}

local function assert_cancelled(task)
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cancelled"))
end

function TestCancel:test_before_start()
  local listener <close> = assert(net.listen { port = 0 })
  local task = eddy.spawn(function()
    eddy.current():cancel()
    net.connect(local_port(listener.port))
  end)
  assert_cancelled(task)
  lu.assertFalse((eddy.within(0.01, listener.accept, listener)))   -- nothing was begun
end

function TestCancel:test_while_looking_up()
  local task = eddy.spawn(net.connect, "localhost:1")
  eddy.sleep(0)
  task:cancel()
  assert_cancelled(task)
  repeat eddy.sleep(0.001) until eddy.stats().jobs == 0
end

function TestCancel:test_while_connecting()
  local full <close> = pair.full_listener()
  local task = eddy.spawn(net.connect, local_port(full.port))
  eddy.sleep(0.01)
  lu.assertEquals(task:status(), "waiting")
  lu.assertStrContains(eddy.dump(), "connect")
  task:cancel()
  assert_cancelled(task)
end

function TestCancel:test_succeeds_after_a_wait()
  local full <close> = pair.full_listener()
  local task = eddy.spawn(net.connect, local_port(full.port))
  eddy.sleep(0.01)
  for _ = 1, #full.held do full.listener:accept():close() end
  local stream <close> = assert(task:await())
  lu.assertFalse(stream:is_closed())
end

function TestCancel:test_about_when_it_completes()
  for _, target in ipairs { "tcp", "unix" } do
    for passes = 0, 6 do
      local at = target == "tcp" and { port = 0 } or { path = pair.path() }
      local listener <close> = assert(net.listen(at))
      local stream
      local task = eddy.spawn(function()
        stream = net.connect(listener.port and local_port(listener.port) or at)
        eddy.sleep(1000)
      end)
      for _ = 1, passes do eddy.sleep(0) end
      task:cancel()
      local ok, err = task:join()   -- a slow machine may have looked at the socket by now
      lu.assertTrue(ok or eddy.is(err, "cancelled"))
      if stream then stream:close() end
    end
  end
end

-- ---- Names and races ---------------------------------------------------------------------------

local TestNames = {}

local shim
local function obedient_names()
  if shim ~= nil then return shim end
  shim = os.tmpname()
  local built = process.run(("${CC:-cc} -shared -fPIC -D_GNU_SOURCE -o %s spec/io/names.c -ldl"):format(shim))
  if not built.ok then
    os.remove(shim)
    shim = false
  end
  return shim
end

function TestNames.teardownClass()
  if shim then os.remove(shim) end
  shim = nil   -- shuffled tests come back to this class
end

--- Run this with obedient names; returns the lines that it prints, lookups included.
local function run(script, ...)
  local library = obedient_names()
  if not library then lu.skip "no C compiler for the name service of this test" end
  local result = process.eddy({ "-e", [[
    local eddy, net, pair = require "eddy", require "eddy.net", require "spec.io.pair"
    io.stdout:setvbuf "no"
    local function took(fn, ...)
      local began = eddy.now()
      local stream, err = fn(...)
      return stream, err, eddy.now() - began
    end
    ]] .. script:format(...) }, { env = {
      LD_PRELOAD = library,
      ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":verify_asan_link_order=0",
    } })
  lu.assertEquals({ result.stderr, result.code }, { "", 0 })
  local lines = {}
  for line in result.stdout:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

function TestNames.test_outside_same_name_is_one_lookup()
  lu.assertEquals(run [[
    local port = pair.dead_port()
    local target = { host = "slow,127.0.0.1!", port = port }
    local errors = {}
    for i = 1, 5 do errors[i] = eddy.spawn(net.connect, target) end
    eddy.sleep(0.1)
    local jobs = eddy.stats().jobs
    for i = 1, 5 do print(select(2, errors[i]:await()).code) end
    print(jobs, eddy.stats().jobs)
    net.connect(target)   -- nothing is remembered
  ]], {
    "lookup slow,127.0.0.1!, 1 running", "ECONNREFUSED", "ECONNREFUSED", "ECONNREFUSED", "ECONNREFUSED", "ECONNREFUSED",
    "1\t0", "lookup slow,127.0.0.1!, 1 running",
  })
end

function TestNames.test_outside_two_lookups_at_a_time()
  local lines = run [[
    for i = 1, 6 do eddy.spawn(net.connect, { host = "slow," .. i .. ",none!", port = 1 }) end
    eddy.sleep(0.1)
    print(eddy.stats().jobs)
  ]]
  lu.assertEquals(#lines, 7)
  lu.assertEquals(lines[3], "2")
  for i, line in ipairs(lines) do
    if i ~= 3 then lu.assertStrMatches(line, "lookup slow,%d,none!, [12] running") end
  end
end

function TestNames.test_outside_cancelled_lookups_do_not_hold_up_others()
  local lines = run [[
    local first = eddy.spawn(net.connect, { host = "stuck,none!", port = 1 })
    local tasks = {}
    for i = 1, 10 do tasks[i] = eddy.spawn(net.connect, { host = "slow," .. i .. "!", port = 1 }) end
    eddy.sleep(0.05)
    for _, task in ipairs(tasks) do task:cancel() end
    for _, task in ipairs(tasks) do task:join() end
    local _, err, time = took(net.connect, { host = "again,!", port = 1 })
    print(err.kind, err.code, err.op, time < 0.6)
    first:cancel()
    print(eddy.stats().jobs, (first:join()))
  ]]
  lu.assertEquals(lines[#lines - 1], "io\tEAGAIN\tresolve\ttrue")
  lu.assertEquals(lines[#lines], "1\tfalse")
  lu.assertEquals(#lines, 5)   -- the queued ones were never begun
end

function TestNames.test_outside_the_program_does_not_wait_for_a_silent_name_server()
  local began = os.time()
  local lines = run [[
    print(eddy.within(0.05, net.connect, { host = "silent!", port = 1 }))
    io.stdout:setvbuf "full"
    io.write "flushed"
  ]]
  lu.assertEquals({ lines[#lines - 1], lines[#lines] }, { "false", "flushed" })   -- the lookup may be told or not
  lu.assertTrue(os.time() - began < 10)
end

-- The same name again, after its lookup was cancelled.
function TestNames.test_outside_a_cancelled_lookup_is_not_joined()
  local lines = run [[
    local first = eddy.spawn(net.connect, { host = "slow,none!", port = 1 })
    eddy.sleep(0)
    first:cancel()
    first:join()
    local _, err = net.connect { host = "slow,none!", port = 1 }
    print(err.kind, err.code)
  ]]
  lu.assertEquals(lines[#lines], "io\tENOTFOUND")
end

function TestNames.test_outside_next_address_after_a_failure_at_once()
  local lines = run [[
    local listener <close> = assert(net.listen { port = 0 })
    local host = "127.0.0.2,127.0.0.3,127.0.0.1!"
    local stream, err, time = took(net.connect, { host = host, port = listener.port })
    print((stream:peername()), time < 0.2)
    stream:close()
  ]]
  lu.assertEquals(lines[2], "127.0.0.1\ttrue")
end

function TestNames.test_outside_next_address_after_250_ms()
  local lines = run [[
    local full <close> = pair.full_listener()
    local other <close> = assert(net.listen { host = "127.0.0.2", port = full.port })
    local stream, err, time = took(net.connect, { host = "127.0.0.1,127.0.0.2!", port = full.port })
    print((stream:peername()), time > 0.24, time < 0.6)
    stream:close()
    eddy.sleep(0.01)
    local handles = eddy.stats().handles
    local task = eddy.spawn(net.connect, { host = "127.0.0.1,127.0.0.1,127.0.0.1!", port = full.port })
    eddy.sleep(0.4)
    print(eddy.stats().handles - handles)   -- two attempts and the clock
    task:cancel()
    task:join()
    eddy.sleep(0.01)
    print(eddy.stats().handles - handles)
  ]]
  lu.assertEquals(lines[2], "127.0.0.2\ttrue\ttrue")
  lu.assertEquals({ lines[4], lines[5] }, { "3", "0" })
end

-- The clock that was set for an attempt which came early by a failure starts none twice.
function TestNames.test_outside_last_address_is_slow()
  local lines = run [[
    local full <close> = pair.full_listener()
    local host = "127.0.0.2,127.0.0.1!"
    local in_time = eddy.within(0.6, net.connect, { host = host, port = full.port })
    print(in_time)
  ]]
  lu.assertEquals(lines[2], "false")
end

function TestNames.test_outside_all_fail()
  local lines = run [[
    local port = pair.dead_port()
    local host = "127.0.0.1,127.0.0.2,127.0.0.3!"
    local stream, err = net.connect { host = host, port = port }
    print(stream, err.code, err.target == host .. ":" .. port, #err.suppressed)
    for i, one in ipairs(err.suppressed) do print(one.code, one.op, one.target == "127.0.0." .. i .. ":" .. port) end
  ]]
  lu.assertEquals(lines[2], "nil\tECONNREFUSED\ttrue\t2")
  lu.assertEquals({ lines[3], lines[4] }, { "ECONNREFUSED\tconnect\ttrue", "ECONNREFUSED\tconnect\ttrue" })
end

function TestNames.test_outside_families_take_turns()
  local lines = run [[
    local port = pair.dead_port()
    local host = "::1,::1,::1,127.0.0.1,127.0.0.2!"
    local _, err = net.connect { host = host, port = port }
    local order = {}
    for _, one in ipairs(err.suppressed) do order[#order + 1] = one.target:find("[::1]", 1, true) and 6 or 4 end
    print(table.concat(order))
  ]]
  lu.assertEquals(lines[2], "6464")
end

function TestNames.test_outside_state_closes_while_looking_up()
  run [[
    eddy.spawn(net.connect, { host = "slow,127.0.0.1!", port = 1 })
    eddy.spawn(net.connect, { host = "slow,127.0.0.2!", port = 1 })
    eddy.spawn(net.connect, { host = "slow,127.0.0.3!", port = 1 })
    eddy.sleep(0.01)
    os.exit(0, true)
  ]]
end

return { TestTarget = TestTarget, TestFailure = TestFailure, TestCancel = TestCancel, TestNames = TestNames }
