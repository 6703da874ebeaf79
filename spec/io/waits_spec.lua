-- SPDX-License-Identifier: MIT
-- The questions of spec/support/waits.lua, asked of every wait of eddy.net. Those of connecting that
-- need a connection which stays pending are in connect_spec.
local lu = ...
local eddy = require "eddy"
local net = require "eddy.net"
local pair = require "spec.io.pair"
local process = require "spec.support.process"
local waits = require "spec.support.waits"

local suite = {}

local function pair_env(is_unix)
  local both = pair.open(is_unix)
  return waits.env({ near = both.near, far = both.far }, both.near, both.far)
end

local function close_near(env) env.near:close() end

-- ---- Reading -----------------------------------------------------------------------------------

local READS = {
  read = { wait = function(env) return env.near:read() end, sent = "x", got = "x" },
  read_exactly = { wait = function(env) return env.near:read_exactly(3) end, sent = "xyz", got = "xyz" },
  read_until = { wait = function(env) return env.near:read_until "\r\n" end, sent = "line\r\n", got = "line\r\n" },
  read_line = { wait = function(env) return env.near:read_line() end, sent = "line\r\n", got = "line" },
  read_all = { wait = function(env) return env.near:read_all() end, sent = "all", got = "all", is_last = true },
}

for name, read in pairs(READS) do
  for _, kind in ipairs { "tcp", "unix" } do
    local function setup() return pair_env(kind == "unix") end
    local function finish(env)
      assert(env.far:write(read.sent))
      if read.is_last then assert(env.far:shutdown()) end
    end
    local class = waits.class(lu, {
      setup = setup, wait = read.wait, finish = finish, close = close_near, is_alone = true,
      check = function(_, _, ...) lu.assertEquals(table.pack(...), { read.got, n = 1 }) end,
    })

    -- Whichever comes first: nothing is lost.
    function class:test_cancelled_about_when_it_completes()
      for passes = 0, 5 do
        local env <close> = setup()
        local got
        local task = eddy.spawn(function() got = read.wait(env) end)
        pair.settle()
        finish(env)
        for _ = 1, passes do eddy.sleep(0) end
        task:cancel()
        task:join()
        lu.assertEquals(got or read.wait(env), read.got)
      end
    end

    function class:test_fails()
      local env <close> = setup()
      env.far:close()
      local result, err = read.wait(env)
      if name == "read_all" then
        lu.assertEquals({ result, err }, { "" })
      elseif name == "read_exactly" then
        lu.assertNil(result)
        lu.assertEquals({ err.kind, err.code, err.op, err.partial }, { "io", "EOF", "read_exactly", "" })
      else
        lu.assertEquals({ result, err }, {})
      end
    end

    function class:test_second_one_is_busy()
      local env <close> = setup()
      local first = eddy.spawn(read.wait, env)
      pair.settle()
      local result, err = read.wait(env)
      lu.assertNil(result)
      lu.assertEquals({ err.kind, err.code, err.op }, { "io", "EBUSY", name == "read_line" and "lines" or name })
      finish(env)
      lu.assertEquals(first:await(), read.got)
    end

    suite[("Test_%s_%s"):format(name, kind)] = class
  end
end

-- ---- Writing -----------------------------------------------------------------------------------

for _, kind in ipairs { "tcp", "unix" } do
  local function setup()
    local env = pair_env(kind == "unix")
    env.sent = 0
    return env
  end
  local function write(env)
    env.sent = env.sent + 1
    return env.near:write(pair.BIG)
  end
  -- What a cancelled writer left is still sent, in front of what comes after it.
  local function finish(env)
    env.drained = eddy.spawn(pair.drain, env.far, #pair.BIG * math.max(env.sent, 1))
  end

  local class = waits.class(lu, {
    setup = setup, wait = write, finish = finish, close = close_near, is_alone = true,
    check = function(_, env, ...)
      lu.assertEquals(table.pack(...), { true, n = 1 })
      lu.assertEquals(#env.drained:await(), #pair.BIG * env.sent)
    end,
  })

  -- The one question that counts attempts: an attempt in a cancelled scope sends nothing.
  function class:test_cancelled_before_start()
    local env <close> = setup()
    local task = eddy.spawn(function()
      eddy.current():cancel()
      env.near:write "nothing"
    end)
    lu.assertFalse((task:join()))
    lu.assertTrue(env.near:write "after")
    lu.assertEquals(env.far:read(), "after")
  end

  function class:test_cancelled_about_when_it_completes()
    for passes = 0, 40, 8 do
      local env <close> = setup()
      local task = eddy.spawn(write, env)
      pair.settle()
      finish(env)
      for _ = 1, passes do eddy.sleep(0) end
      task:cancel()
      task:join()
      lu.assertEquals(#env.drained:await(), #pair.BIG)
    end
  end

  function class:test_fails()
    local env <close> = setup()
    local task = eddy.spawn(write, env)
    pair.settle()
    env.far:close()
    local result, err = task:await()
    lu.assertNil(result)
    lu.assertEquals({ err.kind, err.op }, { "io", "write" })
    lu.assertTrue(err.code == "EPIPE" or err.code == "ECONNRESET", err.code)
    lu.assertEquals(select(2, env.near:write "x").kind, "io")
  end

  function class:test_second_one_is_busy()
    local env <close> = setup()
    local first = eddy.spawn(write, env)
    pair.settle()
    local result, err = env.near:write "x"
    lu.assertNil(result)
    lu.assertEquals({ err.kind, err.code, err.op }, { "io", "EBUSY", "write" })
    finish(env)
    lu.assertTrue(first:await())
  end

  suite["Test_write_" .. kind] = class

  local shut = waits.class(lu, {
    setup = function()
      local full = setup()
      full.writer = eddy.spawn(write, full)
      pair.settle()
      return full
    end,
    wait = function(env) return env.near:shutdown() end,
    finish = function(env) env.drained = eddy.spawn(pair.drain, env.far) end,
    close = function(env)
      env.writer:cancel()
      env.near:close()
    end,
    is_alone = true,
    check = function(_, env, ...)
      lu.assertEquals(table.pack(...), { true, n = 1 })
      lu.assertEquals(#env.drained:await(), #pair.BIG)
    end,
  })
  suite["Test_shutdown_" .. kind] = shut
end

-- ---- Accepting ---------------------------------------------------------------------------------

for _, kind in ipairs { "tcp", "unix" } do
  local class = waits.class(lu, {
    setup = function()
      local target = kind == "unix" and { path = pair.path() } or { port = 0 }
      local listener = assert(net.listen(target))
      if kind == "tcp" then target = { host = "127.0.0.1", port = listener.port } end
      local env = waits.env({ listener = listener, target = target }, listener)
      return env
    end,
    wait = function(env) return env.listener:accept() end,
    finish = function(env) assert(net.connect(env.target)):close() end,
    check = function(_, _, stream, err)
      lu.assertNil(err)
      lu.assertStrContains(tostring(stream), "eddy.Stream")
      stream:close()
    end,
    close = function(env) env.listener:close() end,
  })

  function class:test_many_wait_in_turn()
    local target = kind == "unix" and { path = pair.path() } or { port = 0 }
    local listener <close> = assert(net.listen(target))
    if kind == "tcp" then target.port, target.host = listener.port, "127.0.0.1" end
    local order = {}
    for i = 1, 3 do
      eddy.spawn(function()
        local stream <close> = assert(listener:accept())
        order[#order + 1] = i .. stream:read()
      end)
    end
    eddy.sleep(0)
    for i = 1, 3 do
      local stream <close> = assert(net.connect(target))
      stream:write(tostring(i))
      pair.settle()
      eddy.sleep(0.005)
    end
    lu.assertEquals(order, { "11", "22", "33" })
  end

  suite["Test_accept_" .. kind] = class
end

-- ---- The state ends ----------------------------------------------------------------------------

local TestStateEnds = {}
suite.TestStateEnds = TestStateEnds

local all_waits = [[
  local eddy, net = require "eddy", require "eddy.net"
  local closed = 0
  local function waiting(fn, ...)
    return eddy.spawn(function(...)
      local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
      fn(...)
    end, ...)
  end
  local listener = assert(net.listen { port = 0, backlog = 1 })
  local target = "127.0.0.1:" .. listener.port
  local function open()
    local far = assert(net.connect(target))
    return assert(listener:accept()), far
  end
  local big = ("x"):rep(1 << 24)
  local keep = {}
  for _, name in ipairs { "read", "read_line", "read_all" } do
    local near, far = open()
    keep[#keep + 1] = far
    waiting(near[name], near)
  end
  local near, far = open()
  waiting(near.read_exactly, near, 10)
  waiting(near.write, near, big)
  local other, other_far = open()
  waiting(other.read_until, other, "\n")
  waiting(other.write, other, big)
  eddy.sleep(0)
  waiting(other.shutdown, other)
  local closing = open()
  waiting(closing.write, closing, big)
  for _ = 1, 5 do eddy.sleep(0) end
  closing:close()
  repeat                                     -- until one stays pending
    local task = waiting(function() keep[#keep + 1] = net.connect(target) end)
    eddy.sleep(0.02)
  until task:status() == "waiting"
  local before = closed
  local free = assert(net.listen { port = 0 })
  waiting(free.accept, free)
  waiting(net.connect, "localhost:" .. free.port)
  local path = os.tmpname()
  os.remove(path)
  local unix = assert(net.listen { path = path })
  waiting(unix.accept, unix)
  local _ <close> = setmetatable({}, { __close = function() print("closed", closed - before, io.open(path)) end })
  eddy.sleep(0)
]]

function TestStateEnds:test_outside_exit_inside_a_task()
  local result = process.eddy { "-e", all_waits .. "os.exit(5, true)" }
  lu.assertEquals(result.stderr, "")
  lu.assertStrMatches(result.stdout, "closed\t%d+.*\n")
  lu.assertEquals(result.code, 5)
end

function TestStateEnds:test_outside_error()
  local result = process.eddy { "-e", all_waits .. "error 'stop'" }
  lu.assertStrContains(result.stderr, "stop")
  lu.assertEquals(result.code, 1)
end

-- Killed at the end of the run: what swallows its cancellation and waits again.
function TestStateEnds:test_outside_killed_in_the_background()
  local result = process.eddy { "-e", [[
    local eddy, net = require "eddy", require "eddy.net"
    local listener = assert(net.listen { port = 0 })
    local far = assert(net.connect("127.0.0.1:" .. listener.port))
    local near = assert(listener:accept())
    local function stubborn(fn, ...)
      eddy.background(function(...)
        while true do pcall(fn, ...) end
      end, ...)
    end
    stubborn(near.read, near)
    stubborn(far.write, far, ("x"):rep(1 << 24))
    stubborn(listener.accept, listener)
    eddy.sleep(0.01)
  ]] }
  lu.assertEquals({ result.timed_out, result.code }, { false, 0 })
end

return suite
