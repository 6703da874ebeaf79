-- SPDX-License-Identifier: MIT
-- The questions of spec/support/waits.lua, asked of the waits of streams that speak TLS: the
-- handshake, reading, writing (also before the handshake) and shutdown.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"
local net = require "eddy.net"
local tls = require "eddy.tls"
local certificates = require "spec.support.certificates"
local pair = require "spec.io.pair"
local process = require "spec.support.process"
local waits = require "spec.support.waits"

local suite = {}

-- Made once: keys cost time.
local contexts
local function use_contexts()
  contexts = contexts or {
    server = assert(tls.context(certificates.server("valid", { server = true }))),
    client = { context = assert(tls.context(certificates.client())), host = "good.test" },
  }
  return contexts
end

--- `near` was accepted and speaks TLS; `far` has connected and does not yet.
local function half_open()
  use_contexts()
  local listener <close> = assert(net.listen { port = 0, tls = contexts.server })
  local far = assert(net.connect("127.0.0.1:" .. listener.port))
  local near = assert(listener:accept())
  return waits.env({ near = near, far = far }, near, far)
end

local function open()
  local env = half_open()
  local far = eddy.spawn(tls.wrap, env.far, contexts.client)
  assert(env.near:handshake())
  assert(far:await())
  env.sent = 0
  return env
end

-- ---- Handshake ---------------------------------------------------------------------------------

-- Cancelling a handshake closes the stream: the next attempt needs a new one.
local handshake = {
  setup = function()
    local env = half_open()
    local meta = getmetatable(env)
    function env.renew()
      env.is_renewing = true
      env.near:close()
      env.far:close()
      local new = half_open()
      env.near, env.far, env.is_renewing = new.near, new.far, false
    end
    meta.__close = function()
      env.near:close()
      env.far:close()
      if env.client then env.client:join() end
    end
    return env
  end,
  wait = function(env)
    if env.near:is_closed() and not env.is_over then env.renew() end
    return env.near:handshake()
  end,
  finish = function(env)
    env.client = eddy.spawn(function()
      while env.is_renewing do eddy.sleep(0.001) end
      return tls.wrap(env.far, contexts.client) == env.far
    end)
  end,
  check = function(_, env, ...)
    lu.assertEquals(table.pack(...), { true, n = 1 })
    lu.assertTrue(env.client:await())
  end,
  close = function(env)
    env.is_over = true
    env.near:close()
  end,
  is_alone = true,
}
suite.Test_handshake = waits.class(lu, handshake)

function suite.Test_handshake:test_cancelled_at_every_step()
  for passes = 1, 12 do
    local env <close> = half_open()
    local client = eddy.spawn(tls.wrap, env.far, contexts.client)
    local task = eddy.spawn(env.near.handshake, env.near)
    for _ = 1, passes do eddy.sleep(0) end
    task:cancel()
    local ok = task:join()
    lu.assertEquals(env.near:is_closed(), not ok)
    env.near:close()
    client:join()
  end
end

function suite.Test_handshake:test_client_is_cancelled_and_closes()
  local env <close> = half_open()
  local done, stream = eddy.within(0.01, tls.wrap, env.far, contexts.client)
  lu.assertEquals({ done, stream, env.far:is_closed() }, { false, nil, true })
  lu.assertNil(env.near:read())
end

function suite.Test_handshake:test_fails()
  local env <close> = half_open()
  local task = eddy.spawn(env.near.handshake, env.near)
  env.far:write "no TLS"
  local ok, err = task:await()
  lu.assertEquals({ ok, err.kind, err.code, err.op }, { nil, "tls", "TLS_PROTOCOL", "tls" })
  lu.assertEquals(select(2, env.near:write "x").code, "TLS_PROTOCOL")
  lu.assertEquals(select(2, env.near:shutdown()).code, "TLS_PROTOCOL")
  lu.assertEquals(select(2, env.near:handshake()).code, "TLS_PROTOCOL")
end

function suite.Test_handshake:test_peer_is_reset()
  local env <close> = half_open()
  local task = eddy.spawn(tls.wrap, env.far, contexts.client)
  pair.settle()
  env.near:close()   -- has not read the hello
  local stream, err = task:await()
  lu.assertEquals({ stream, err.kind, err.op }, { nil, "io", "tls" })
end

function suite.Test_handshake:test_second_one_is_busy()
  local env <close> = half_open()
  local first = eddy.spawn(env.near.handshake, env.near)
  pair.settle()
  for _, name in ipairs { "handshake", "read" } do lu.assertEquals(select(2, env.near[name](env.near)).code, "EBUSY") end
  handshake.finish(env)
  lu.assertTrue(first:await())
  env.client:await()
end

-- ---- Reading -----------------------------------------------------------------------------------

local READS = {
  read = { wait = function(env) return env.near:read() end, sent = "x", got = "x" },
  read_exactly = { wait = function(env) return env.near:read_exactly(3) end, sent = "xyz", got = "xyz" },
  read_until = { wait = function(env) return env.near:read_until "\r\n" end, sent = "line\r\n", got = "line\r\n" },
  read_all = { wait = function(env) return env.near:read_all() end, sent = "all", got = "all", is_last = true },
}

for name, read in pairs(READS) do
  local function finish(env)
    assert(env.far:write(read.sent))
    if read.is_last then assert(env.far:shutdown()) end
  end
  local class = waits.class(lu, {
    setup = open, wait = read.wait, finish = finish, close = function(env) env.near:close() end, is_alone = true,
    check = function(_, _, ...) lu.assertEquals(table.pack(...), { read.got, n = 1 }) end,
  })

  function class:test_cancelled_about_when_it_completes()
    for passes = 0, 5 do
      local env <close> = open()
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

  suite["Test_" .. name] = class
end

-- ---- Writing -----------------------------------------------------------------------------------

local function write(env)
  env.sent = env.sent + 1
  return env.near:write(pair.BIG)
end

local function finish_write(env)
  env.drained = eddy.spawn(pair.drain, env.far, #pair.BIG * math.max(env.sent, 1))
end

local writing = {
  setup = open, wait = write, finish = finish_write, close = function(env) env.near:close() end, is_alone = true,
  check = function(_, env, ...)
    lu.assertEquals(table.pack(...), { true, n = 1 })
    lu.assertEquals(#env.drained:await(), #pair.BIG * env.sent)
  end,
}
suite.Test_write = waits.class(lu, writing)

-- The one question that counts attempts: an attempt in a cancelled scope sends nothing.
function suite.Test_write:test_cancelled_before_start()
  local env <close> = open()
  local task = eddy.spawn(function()
    eddy.current():cancel()
    env.near:write "nothing"
  end)
  lu.assertFalse((task:join()))
  lu.assertTrue(env.near:write "after")
  lu.assertEquals(env.far:read(), "after")
end

function suite.Test_write:test_fails()
  local env <close> = open()
  local task = eddy.spawn(write, env)
  pair.settle()
  env.far:close()
  local result, err = task:await()
  lu.assertEquals({ result, err.kind, err.op }, { nil, "io", "write" })
  lu.assertEquals(select(2, env.near:write "x").kind, "io")
end

-- The same while the other side has not begun to shake hands.
suite.Test_first_write = waits.class(lu, {
  setup = function()
    local env = half_open()
    env.sent = 0
    return env
  end,
  wait = function(env)
    env.sent = env.sent + 1
    return env.near:write("hello", env.sent, "\n")
  end,
  finish = function(env) env.client = eddy.spawn(tls.wrap, env.far, contexts.client) end,
  close = function(env) env.near:close() end, is_alone = true,
  check = function(_, env, ...)
    lu.assertEquals(table.pack(...), { true, n = 1 })
    assert(env.client:await())
    -- What a cancelled writer left is sent in front. (An attempt in a cancelled scope left nothing.)
    local line
    repeat line = assert(env.far:read_line()) until line == "hello" .. env.sent
  end,
})

function suite.Test_first_write:test_shutdown_behind_it()
  local env <close> = half_open()
  local writer = eddy.spawn(env.near.write, env.near, "first")
  local shut = eddy.spawn(env.near.shutdown, env.near)
  pair.settle()
  lu.assertEquals({ writer:status(), shut:status() }, { "waiting", "waiting" })
  assert(tls.wrap(env.far, contexts.client))
  lu.assertEquals(env.far:read_all(), "first")
  lu.assertTrue(writer:await() and shut:await())
end

local shutting = waits.class(lu, {
  setup = function()
    local full = open()
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
suite.Test_shutdown = shutting

-- ---- HTTP exchanges ----------------------------------------------------------------------------

local TestExchange = {}
suite.TestExchange = TestExchange

function TestExchange:test_goes_over_tls_unchanged()
  local env <close> = open()
  local server = eddy.spawn(function()
    local head = env.near:read_until "\r\n\r\n"
    env.near:write "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    return head
  end)
  local status, _, body, keep = core.http.exchange(env.far, core.http.message(), "GET /x?y HTTP/1.1\r\nHost: a\r\n\r\n")
  lu.assertEquals({ status, body, keep }, { 200, "hello", true })
  lu.assertEquals(server:await(), "GET /x?y HTTP/1.1\r\nHost: a\r\n\r\n")
end

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

function TestExchange:test_answer_that_ends_with_the_connection()
  local env <close> = open()
  eddy.spawn(function()
    env.near:read_until "\r\n\r\n"
    env.near:write "HTTP/1.1 200 OK\r\n\r\nto the end"
    env.near:close()
  end)
  local status, _, body = core.http.exchange(env.far, core.http.message(), GET)
  lu.assertEquals({ status, body }, { 200, "to the end" })
end

-- The same, but somebody in between cuts it: that must not look whole.
function TestExchange:test_answer_that_is_cut_off()
  use_contexts()
  local a <close> = pair.open()
  local b <close> = pair.open()
  local relays = { eddy.spawn(pair.relay, a.near, b.near, 65536), eddy.spawn(pair.relay, b.near, a.near, 65536) }
  eddy.spawn(function()
    assert(tls.wrap(b.far, contexts.server))
    b.far:read_until "\r\n\r\n"
    b.far:write "HTTP/1.1 200 OK\r\n\r\nto the"
    for _ = 1, 3 do eddy.sleep(0.002) end
    for _, task in ipairs(relays) do task:cancel() end
    a.near:shutdown()
  end)
  assert(tls.wrap(a.far, contexts.client))
  local status, err = core.http.exchange(a.far, core.http.message(), GET)
  lu.assertEquals({ status, err.kind, err.code, err.op }, { nil, "tls", "TLS_TRUNCATED", "body" })
end

-- ---- Many --------------------------------------------------------------------------------------

local TestMany = { timeout = false }
suite.TestMany = TestMany

-- In a process of its own, so that its memory is that of these connections alone.
local function run_many(code)
  use_contexts()
  local result = process.eddy({ "-e", ([[
    local eddy, net, tls = require "eddy", require "eddy.net", require "eddy.tls"
    local server = assert(tls.context { server = true, cert = %q, key = %q })
    local client = { context = assert(tls.context { ca = %q }), host = "good.test" }
    local listener = assert(net.listen { port = 0, tls = server })
    local target = { host = "127.0.0.1", port = listener.port, tls = client }
    local function resident()
      for line in io.lines "/proc/self/status" do
        local kb = line:match "^VmRSS:%%s+(%%d+)"
        if kb then return tonumber(kb) end
      end
    end
  ]]):format(certificates.path "valid.pem", certificates.path "valid.key", certificates.path "ca.pem") .. code },
    { timeout = 120 })
  lu.assertEquals({ result.stderr, result.code }, { "", 0 })
  return result.stdout
end

function TestMany:test_outside_idle_connections_are_small()
  local status <close> = io.open "/proc/self/status"
  if not status or process.program:find "asan" then lu.skip "memory cannot be measured here" end
  local kb = tonumber(run_many [[
    local near, far = {}, {}
    local function open(from, to)
      for i = from, to do
        local accepted = eddy.spawn(function()
          near[i] = assert(listener:accept())
          assert(near[i]:read_line())
          assert(near[i]:write "there\n")
        end)
        far[i] = assert(net.connect(target))
        far[i]:write "here\n"
        assert(far[i]:read_line())
        accepted:await()
      end
      collectgarbage()
      return resident()
    end
    local before = open(1, 50)
    local after = open(51, 250)
    print((after - before) / 400)
    for i = 1, #near do near[i]:close() far[i]:close() end
    listener:close()
  ]])
  lu.assertTrue(kb <= 60, kb .. " KB an end")
end

function TestMany:test_outside_opening_and_closing_leaves_nothing()
  local growth = tonumber(run_many [[
    local function cycle(n)
      for _ = 1, n do
        local accepted = eddy.spawn(function()
          local stream <close> = assert(listener:accept())
          stream:read_line()
        end)
        local stream <close> = assert(net.connect(target))
        stream:write "x\n"
        accepted:await()
      end
      collectgarbage()
      collectgarbage()
    end
    local status <close> = io.open "/proc/self/status"
    local has_proc = status ~= nil
    cycle(1000)
    local function settle()
      for _ = 1, 3 do eddy.sleep(0) end
      return eddy.stats()
    end
    local first = settle()
    local before = has_proc and resident() or 0
    cycle(tonumber(os.getenv "EDDY_CYCLES") or 2000)
    print((has_proc and resident() or 0) - before)
    local last = settle()
    for _, name in ipairs { "tasks", "operations", "handles" } do assert(last[name] == first[name], name) end
    listener:close()
  ]])
  if not process.program:find "asan" then lu.assertTrue(growth < 4096, growth .. " KB more") end
end

-- ---- The state ends ----------------------------------------------------------------------------

function TestMany:test_outside_the_state_ends_in_the_middle()
  for _, ending in ipairs { "os.exit(0, true)", "os.exit(0)", "" } do
    run_many([[
      local stranger = assert(net.connect("127.0.0.1:" .. listener.port))
      local silent = assert(listener:accept())
      for _, name in ipairs { "read", "handshake" } do eddy.background(silent[name], silent) end
      eddy.background(silent.write, silent, ("x"):rep(100000))
      local accepted = eddy.spawn(function() local near = assert(listener:accept()) near:read_line() return near end)
      local far = assert(net.connect(target))
      far:write "x\n"
      local near = accepted:await()
      eddy.background(near.write, near, ("x"):rep(1 << 24))
      eddy.background(near.read, near)
      eddy.background(far.read_until, far, "no such thing", 1 << 30)
      eddy.sleep(0.01)
      _G.kept = { near, far, silent, stranger }
    ]] .. ending)
  end
end

return suite
