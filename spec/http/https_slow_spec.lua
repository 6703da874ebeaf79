-- SPDX-License-Identifier: MIT
-- Peers that are slow in the handshake of TLS: how long a server waits for them, and that nobody else does.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local certificates = require "spec.support.certificates"

certificates.path()   -- made before any test's time runs

local function serve(more)
  local options = { handler = function(req) return "hello " .. req.path end, tls = certificates.server "valid" }
  for name, value in pairs(more or {}) do options[name] = value end
  return assert(http.serve(options))
end

local connect = require "spec.support.serving".connect

--- The bytes of a client's first flight.
local function client_hello()
  local listener <close> = assert(net.listen { port = 0 })
  local task = eddy.spawn(eddy.pcall, net.connect, { host = "127.0.0.1", port = listener.port, tls = certificates.client() })
  local stream <close> = assert(listener:accept())
  local hello = stream:read()
  task:cancel()
  task:join()
  return hello
end

local function closed_after(stream)
  local began = eddy.now()
  while stream:read() do end   -- luacheck: ignore 542
  return eddy.now() - began
end

-- ---- The limit ---------------------------------------------------------------------------------

local TestLimit = { clock = "manual" }

local function check_limit(seconds, sent, options)
  local server <close> = serve(options)
  local stream <close> = connect(server)
  if sent ~= "" then stream:write(sent) end
  local took = closed_after(stream)
  lu.assertTrue(took >= seconds and took <= seconds + 3, ("%g s, expected %g"):format(took, seconds))
  lu.assertEquals({ server:stats().connections, server:stats().timed_out, server:stats().requests }, { 0, 1, 0 })
end

function TestLimit:test_silent() check_limit(10, "") end

function TestLimit:test_half_a_hello() check_limit(10, client_hello():sub(1, 100)) end

function TestLimit:test_silent_behind_the_hello() check_limit(10, client_hello()) end

function TestLimit:test_of_ones_own() check_limit(3, "", { handshake_timeout = 3 }) end

--- The limits of idle connections and of heads begin behind the handshake.
function TestLimit:test_longer_than_the_others()
  check_limit(20, "", { handshake_timeout = 20, idle_timeout = 2, header_timeout = 2 })
end

function TestLimit:test_one_byte_at_a_time()
  local server <close> = serve()
  local stream <close> = connect(server)
  local hello = client_hello()
  local sender = eddy.spawn(function()
    for byte in hello:gmatch "." do
      if not stream:write(byte) then return end
      eddy.sleep(1)
    end
  end)
  local took = closed_after(stream)
  lu.assertTrue(took >= 10 and took <= 13, took)
  sender:cancel()
end

function TestLimit:test_behind_the_handshake_others_count()
  local server <close> = serve { idle_timeout = 5 }
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port, tls = certificates.client() })
  local took = closed_after(stream)
  lu.assertTrue(took >= 5 and took <= 8, took)
  lu.assertEquals(server:stats().timed_out, 0)
end

function TestLimit:test_plain_servers_have_no_use_for_it()
  local server <close> = assert(http.serve { handler = function() return "" end, handshake_timeout = 1, idle_timeout = 30 })
  local stream <close> = connect(server)
  local took = closed_after(stream)
  lu.assertTrue(took >= 30 and took <= 33, took)
end

-- ---- Others ------------------------------------------------------------------------------------

local TestOthers = {}

function TestOthers:test_are_not_delayed()
  local server <close> = serve()
  local hello = client_hello()
  local slow = {}
  local _ <close> = setmetatable({}, { __close = function()
    for _, stream in ipairs(slow) do stream:close() end
  end })
  for i = 1, 60 do
    slow[i] = connect(server)
    if i % 3 == 1 then slow[i]:write(hello:sub(1, 50)) elseif i % 3 == 2 then slow[i]:write(hello) end
  end
  local client <close> = http.client { ca = certificates.path "ca.pem" }
  local began = eddy.now()
  for i = 1, 10 do
    local res = assert(client:get(("https://localhost:%d/%d"):format(server.port, i)))
    lu.assertEquals(res.body, "hello /" .. i)
  end
  lu.assertTrue(eddy.now() - began < 5)
  lu.assertEquals(server:stats().requests, 10)
  lu.assertTrue(server:stats().connections > 50)
end

function TestOthers:test_a_stop_does_not_wait_for_them()
  local server = serve()
  local stream <close> = connect(server)
  stream:write(client_hello():sub(1, 20))
  eddy.sleep(0.05)
  local began = eddy.now()
  server:stop { grace = 30 }
  lu.assertTrue(eddy.now() - began < 5, eddy.now() - began)
  lu.assertNil((stream:read()))
end

return { TestLimit = TestLimit, TestOthers = TestOthers }
