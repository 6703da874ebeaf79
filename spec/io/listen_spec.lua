-- SPDX-License-Identifier: MIT
-- Listeners: ports, paths, ends, and no descriptors left.
local lu = ...
local eddy = require "eddy"
local net = require "eddy.net"
local pair = require "spec.io.pair"
local process = require "spec.support.process"

local TestListen = {}

function TestListen:test_port_0()
  local first <close> = assert(net.listen { port = 0 })
  local second <close> = assert(net.listen "127.0.0.1:0")
  lu.assertEquals(math.type(first.port), "integer")
  lu.assertTrue(first.port > 0 and first.port ~= second.port)
  lu.assertEquals(first.host, "127.0.0.1")
  lu.assertNil(first.path)
  lu.assertNil(first.nothing)
  lu.assertEquals(tostring(first), "eddy.Listener 127.0.0.1:" .. first.port)
end

function TestListen:test_port_in_use()
  local first <close> = assert(net.listen { port = 0 })
  local second, err = net.listen { port = first.port }
  lu.assertNil(second)
  lu.assertEquals({ err.kind, err.code, err.op, err.target }, { "io", "EADDRINUSE", "listen", "127.0.0.1:" .. first.port })
  first:close()
  eddy.sleep(0.01)
  local third <close> = assert(net.listen { port = first.port })
  lu.assertEquals(third.port, first.port)
end

function TestListen:test_bad_addresses()
  local listener, err = net.listen { host = "192.0.2.1", port = 0 }
  lu.assertNil(listener)
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "EADDRNOTAVAIL", "listen" })
  lu.assertEquals(select(2, net.listen { host = "a.name", port = 0 }).code, "EINVAL")
end

function TestListen:test_misuse()
  for message, target in pairs {
    ["not a port"] = { port = 70000 }, ["unknown option 'prot'"] = { prot = 1 }, ["integer expected"] = { port = "80" },
    ["not a backlog"] = { port = 0, backlog = 0 }, ["not a target"] = "80", ["a path, or"] = { path = "a", port = 1 },
  } do
    lu.assertErrorMsgContains(message, net.listen, target)
  end
end

function TestListen:test_outside_a_run()
  lu.assertErrorMsgContains("eddy.run", net.listen, { port = 0 })
end

function TestListen:test_close()
  local listener = assert(net.listen { port = 0 })
  local port = listener.port
  listener:close()
  listener:close()
  lu.assertTrue(listener:is_closed())
  lu.assertEquals(listener.port, port)
  lu.assertStrContains(tostring(listener), "(closed)")
  local stream, err = listener:accept()
  lu.assertNil(stream)
  lu.assertEquals({ err.kind, err.code, err.op }, { "closed", "ECLOSED", "accept" })
  lu.assertEquals(select(2, net.connect { host = "127.0.0.1", port = port }).code, "ECONNREFUSED")
end

function TestListen:test_close_wakes_all()
  local listener = assert(net.listen { port = 0 })
  local codes = {}
  eddy.group(function(group)
    for i = 1, 3 do
      group:spawn(function() codes[i] = select(2, listener:accept()).code end)
    end
    eddy.sleep(0)
    listener:close()
  end)
  lu.assertEquals(codes, { "ECLOSED", "ECLOSED", "ECLOSED" })
end

-- What came and was not accepted is closed with the listener.
function TestListen:test_close_with_connections_waiting()
  local listener = assert(net.listen { port = 0 })
  local streams = {}
  for i = 1, 5 do streams[i] = assert(net.connect { host = "127.0.0.1", port = listener.port }) end
  listener:close()
  for _, stream in ipairs(streams) do
    local bytes = stream:read()
    lu.assertNil(bytes)
    stream:close()
  end
end

function TestListen:test_incoming()
  local listener = assert(net.listen { port = 0 })
  local seen = 0
  local server = eddy.spawn(function()
    for stream in listener:incoming() do
      seen = seen + 1
      eddy.spawn(function()
        local guard <close> = stream
        stream:write(stream:read_line():upper())
      end)
    end
    return "ended"
  end)
  local replies = eddy.gather {
    function()
      local stream <close> = assert(net.connect { host = "127.0.0.1", port = listener.port })
      stream:write "a\n"
      return stream:read_all()
    end,
    function()
      local stream <close> = assert(net.connect { host = "127.0.0.1", port = listener.port })
      stream:write "b\n"
      return stream:read_all()
    end,
  }
  listener:close()
  lu.assertEquals(server:await(), "ended")
  lu.assertEquals({ replies[1], replies[2], seen }, { "A", "B", 2 })
end

function TestListen:test_collected()
  local port = assert(net.listen { port = 0 }).port
  collectgarbage()
  collectgarbage()
  eddy.sleep(0.01)
  lu.assertEquals(select(2, net.connect { host = "127.0.0.1", port = port }).code, "ECONNREFUSED")
end

-- A connection that was made for a task which is cancelled goes to the next one.
function TestListen:test_cancelled_accept_loses_no_connection()
  local listener <close> = assert(net.listen { port = 0 })
  local first = eddy.spawn(listener.accept, listener)
  eddy.sleep(0)
  first:cancel()
  first:join()
  local far <close> = assert(net.connect { host = "127.0.0.1", port = listener.port })
  local near <close> = assert(listener:accept())
  far:write "x"
  lu.assertEquals(near:read(), "x")
end

-- ---- Unix sockets ------------------------------------------------------------------------------

local TestUnix = {}

local function exists(path)
  local ok, _, code = os.rename(path, path)
  return ok or code == 13
end

function TestUnix:test_path_goes_with_the_listener()
  local path = pair.path()
  local listener <close> = assert(net.listen("unix:" .. path))
  lu.assertEquals({ listener.path, listener.port, listener.host }, { path })
  lu.assertEquals(tostring(listener), "eddy.Listener unix:" .. path)
  lu.assertTrue(exists(path))
  listener:close()
  lu.assertFalse(exists(path))
end

function TestUnix:test_path_of_somebody_else_stays()
  local path = pair.path()
  local first <close> = assert(net.listen { path = path })
  local second, err = net.listen { path = path }
  lu.assertNil(second)
  lu.assertEquals({ err.kind, err.code, err.op, err.target }, { "io", "EADDRINUSE", "listen", "unix:" .. path })
  lu.assertTrue(exists(path))
  os.remove(path)
  local third <close> = assert(net.listen { path = path })
  first:close()
  lu.assertTrue(exists(path))
  assert(net.connect { path = path }):close()
  third:close()
  lu.assertFalse(exists(path))
end

function TestUnix:test_removed_when_collected()
  local path = pair.path()
  assert(net.listen { path = path })
  collectgarbage()
  collectgarbage()
  lu.assertFalse(exists(path))
end

function TestUnix:test_bad_paths()
  for path, code in pairs { [("x"):rep(200)] = "ENAMETOOLONG", ["/no/such/folder/s"] = "ENOENT", ["a\0b"] = "EINVAL", [""] = "EINVAL" } do
    local listener, err = net.listen { path = path }
    lu.assertNil(listener)
    lu.assertEquals(err.code, code)
  end
  lu.assertEquals(select(2, net.connect { path = "" }).kind, "io")
end

-- ---- No descriptors left -----------------------------------------------------------------------

local TestLimit = {}

-- The server lives on: it does not spin, and it serves again when there are descriptors again.
function TestLimit:test_outside_no_descriptors()
  local result = process.run(("ulimit -n 40; exec %s -e %s"):format(process.quote(process.program), process.quote [[
    local eddy, net = require "eddy", require "eddy.net"
    local listener = assert(net.listen { port = 0 })
    local target = "127.0.0.1:" .. listener.port
    local held, err = {}, nil
    repeat
      held[#held + 1], err = net.connect(target)
    until err
    print(err.code, err.op)
    local served = 0
    eddy.background(function()
      while true do
        local stream <close> = listener:accept()
        if stream then
          served = served + 1
          stream:write "hello"
        else
          eddy.sleep(0.05)
        end
      end
    end)
    local began = os.clock()
    eddy.sleep(0.4)
    print(os.clock() - began < 0.2)
    for _, stream in ipairs(held) do stream:close() end
    eddy.sleep(0.01)
    local stream = assert(net.connect(target))
    print(stream:read())
  ]]))
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.stdout, "EMFILE\tconnect\ntrue\nhello\n")
end

return { TestListen = TestListen, TestUnix = TestUnix, TestLimit = TestLimit }
