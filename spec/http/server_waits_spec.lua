-- SPDX-License-Identifier: MIT
-- The questions of spec/support/waits.lua, asked of the waits inside the HTTP server and of reading files.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"
local http = require "eddy.http"
local net = require "eddy.net"
local process = require "spec.support.process"
local waits = require "spec.support.waits"

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
local POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"

local function connect(port) return assert(net.connect { host = "127.0.0.1", port = port }) end

--- A peer whose request has reached its handler, which stays until the test is over.
local function exchange_env(bytes)
  local arrived, over = eddy.event(), eddy.event()
  local request
  local server = assert(http.serve { stream = true, handler = function(req)
    request = req
    arrived:set()
    over:wait()
  end })
  local peer = connect(server.port)
  peer:write(bytes)
  arrived:wait()
  return waits.env({ server = server, peer = peer, req = request }, peer, server)
end

local TestRead = waits.class(lu, {
  setup = function() return exchange_env(POST) end,
  wait = function(env) return env.req:read() end,
  finish = function(env) env.peer:write "x" end,
  check = function(_, _, got) lu.assertEquals(got, "x") end,
  close = function(env) env.server:close() end,
  is_alone = true,
})

local TestWrite = waits.class(lu, {
  setup = function()
    local env = exchange_env(GET)
    env.res = env.req:respond()
    return env
  end,
  wait = function(env) return env.res:write(("x"):rep(8e6)) end,
  finish = function(env) eddy.spawn(function() while env.peer:read() do end end) end,   -- luacheck: ignore 542
  check = function(_, _, got) lu.assertTrue(got) end,
  close = function(env) env.server:close() end,
  is_alone = true,
})

local LIMITS = {
  max_body = 100, max_line = 100, max_head = 1000, max_fields = 10, max_extension = 10, max_trailers = 100, max_connections = 10,
  header_timeout = 10, handshake_timeout = 10,
  idle_timeout = 10, body_timeout = 10, min_rate = 1, write_timeout = 10, timeout = 10, linger = 1,
}

local function native_env()
  local listener = assert(net.listen { port = 0 })
  local native = core.http.server(listener, LIMITS)
  local peers = {}
  local env = waits.env({ native = native, peers = peers }, native, { close = function()
    for _, peer in ipairs(peers) do peer:close() end
  end })
  function env.connect()
    local peer = connect(listener.port)
    table.insert(env.peers, peer)
    return peer
  end
  return env
end

local TestDispatch = waits.class(lu, {
  setup = native_env,
  wait = function(env)
    local n = env.native:dispatch(function(exchange) exchange:respond(200, "", "x") end)
    eddy.sleep(0)   -- the handlers are children of this task
    return n
  end,
  finish = function(env) env.connect():write(GET) end,
  check = function(_, env, got)
    lu.assertTrue(got >= 1)
    for _, peer in ipairs(env.peers) do peer:close() end
  end,
  is_alone = true,
})

function TestDispatch:test_ends_with_the_server()
  local env <close> = native_env()
  local task = eddy.spawn(env.native.dispatch, env.native, print)
  eddy.sleep(0)
  env.native:stop()
  lu.assertNil((task:await()))
  lu.assertNil((env.native:dispatch(print)))
end

local TestConnections = waits.class(lu, {
  setup = native_env,
  wait = function(env) return env.native:await_connections() end,
  finish = function(env) env.connect() end,
  check = function(_, env, got)
    lu.assertTrue(got)
    for _, peer in ipairs(env.peers) do peer:close() end
  end,
  is_alone = true,
})

local TestFiles = {}

function TestFiles:test_cancelled_at_every_moment()
  for passes = 0, 5 do
    local opening = eddy.spawn(core.file.open, "Makefile")
    for _ = 1, passes do eddy.sleep(0) end
    opening:cancel()
    opening:join()
    local handle <close> = assert(core.file.open "Makefile")
    local reading = eddy.spawn(handle.read_at, handle, 0, 100)
    for _ = 1, passes do eddy.sleep(0) end
    reading:cancel()
    reading:join()
    lu.assertEquals(#assert(handle:read_at(0, 100)), 100)
  end
  collectgarbage()
end

function TestFiles:test_closed()
  local handle, stat = assert(core.file.open "Makefile")
  lu.assertEquals(handle:read_at(stat.size, 10), "")
  local reading = eddy.spawn(handle.read_at, handle, 0, 10)
  eddy.sleep(0)
  handle:close()
  handle:close()
  lu.assertEquals(#assert(reading:await()), 10)   -- begun before
  local bytes, err = handle:read_at(0, 10)
  lu.assertNil(bytes)
  lu.assertEquals(err.kind, "closed")
end

function TestFiles:test_refused()
  lu.assertEquals(select(2, core.file.open "no/such/file").code, "ENOENT")
  lu.assertError(core.file.open, "")
  lu.assertError(core.file.open, "a\0b")
  lu.assertError(core.file.open, "../x", ".")
  lu.assertEquals(select(2, core.file.open("Makefile/x", ".")).code, "ENOTDIR")
end

function TestFiles.test_outside_state_closed_while_pending()
  local script = [[
    local eddy, core, http, net = require "eddy", require "eddy.core", require "eddy.http", require "eddy.net"
    local server = http.serve { stream = true, handler = function(req)
      if req.method == "GET" then req:respond():write(("x"):rep(8e6)) else req:read_all() end
    end }
    local peers = {}
    for i, method in ipairs { "GET", "POST" } do
      peers[i] = net.connect { host = "127.0.0.1", port = server.port }
      peers[i]:write(method, " / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    end
    eddy.sleep(0.05)
    eddy.spawn(core.file.open, "/dev/null")
    eddy.sleep(0)
    os.exit(0, true)]]
  local result = process.eddy { "-e", script }
  lu.assertEquals({ result.code, result.stderr }, { 0, "" })
end

return {
  TestRead = TestRead, TestWrite = TestWrite, TestDispatch = TestDispatch, TestConnections = TestConnections,
  TestFiles = TestFiles,
}
