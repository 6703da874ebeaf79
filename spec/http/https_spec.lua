-- SPDX-License-Identifier: MIT
-- https on both sides: our client and our server over TLS, certificates that are refused, tunnels.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local certificates = require "spec.support.certificates"

local reports = {}
local TestHttps = { config = { on_error = function(err) reports[#reports + 1] = err end } }

local function serve(name, handler)
  return assert(http.serve {
    handler = handler or function(request) return "hello " .. request.path end,
    tls = { cert = certificates.path(name .. ".pem"), key = certificates.path(name .. ".key") },
  })
end

local function ca() return certificates.path "ca.pem" end

local function at(server, path) return ("https://localhost:%d%s"):format(server.port, path or "/") end

function TestHttps:test_client_and_server()
  local server <close> = serve "valid"
  local client <close> = http.client { ca = ca() }
  for i = 1, 3 do
    local res = assert(client:get(at(server, "/" .. i)))
    lu.assertEquals({ res.status, res.body, res.reused }, { 200, "hello /" .. i, i > 1 })
    lu.assertTrue(res.timings.tls == nil or res.timings.tls >= res.timings.connect)
  end
  lu.assertEquals(client:stats().opened, 1)
end

function TestHttps:test_big_bodies_both_ways()
  local big = ("0123456789abcdef"):rep(65536)
  local server <close> = serve("valid", function(request) return request:read_all() end)
  local client <close> = http.client { ca = ca() }
  lu.assertEquals(#assert(client:post(at(server), { body = big })).body, #big)
end

function TestHttps:test_refused_certificates()
  for name, code in pairs {
    expired = "CERT_EXPIRED", early = "CERT_NOT_YET_VALID", other = "CERT_HOSTNAME", untrusted = "CERT_UNTRUSTED",
  } do
    local server <close> = serve(name)
    local res, err = http.get(("https://good.test:%d/"):format(server.port),
      { ca = ca(), resolve = { ["good.test"] = "127.0.0.1" } })
    lu.assertNil(res, name)
    lu.assertEquals({ err.kind, err.code, err.op }, { "tls", code, "tls" })
  end
end

function TestHttps:test_unverified_is_reported_once_for_each_origin()
  local server <close> = serve "untrusted"
  reports = {}
  local client <close> = http.client { verify = false }
  for _ = 1, 2 do lu.assertEquals(assert(client:get(at(server), { headers = { Connection = nil } })).status, 200) end
  lu.assertEquals(#reports, 1)
  lu.assertEquals({ reports[1].kind, reports[1].code }, { "tls", "UNVERIFIED" })
end

-- A connection that was verified in another way is another connection.
function TestHttps:test_the_pool_keeps_settings_apart()
  local server <close> = serve "valid"
  local client <close> = http.client {}
  lu.assertEquals(assert(client:get(at(server), { ca = ca() })).status, 200)
  local res, err = client:get(at(server))   -- the system's roots do not know ours
  lu.assertNil(res)
  lu.assertEquals(err.code, "CERT_UNTRUSTED")
  lu.assertTrue(assert(client:get(at(server), { ca = ca() })).reused)
end

function TestHttps:test_a_downgrade_by_redirect()
  local plain <close> = assert(http.serve { handler = function() return "plain" end })
  local target = ("http://localhost:%d/"):format(plain.port)
  local server <close> = serve("valid", function() return 302, { Location = target } end)
  local client <close> = http.client { ca = ca() }
  local res, err = client:get(at(server))
  lu.assertNil(res)
  lu.assertEquals({ err.kind, err.code }, { "permission", "EDOWNGRADE" })
  lu.assertEquals(assert(client:get(at(server), { redirects = { max = 3, downgrade = true } })).body, "plain")
end

function TestHttps:test_a_peer_that_speaks_no_tls()
  local server <close> = assert(http.serve { handler = function() return "plain" end })
  local res, err = http.get(at(server), { ca = ca() })
  lu.assertNil(res)
  lu.assertEquals(err.kind, "tls")
end

function TestHttps:test_a_plain_request_to_a_tls_server_gets_no_answer()
  local server <close> = serve "valid"
  local res, err = http.get(("http://localhost:%d/"):format(server.port))
  lu.assertNil(res)
  lu.assertNotNil(err)
  lu.assertEquals(assert(http.get(at(server), { ca = ca() })).status, 200)   -- and goes on
end

--- A proxy whose tunnels are tasks of `group`; returns the listener and what it was asked.
local function open_proxy(group)
  local asked = {}
  local listener = assert(net.listen { port = 0 })
  local function copy(from, to)
    for piece in function() return from:read() end do if not to:write(piece) then break end end
    to:close()
  end
  group:spawn(function()
    for stream in listener:incoming() do
      group:spawn(function()
        local inner <close> = stream
        local head = inner:read_until "\r\n\r\n"
        asked[#asked + 1] = head:match "^[^\r]*"
        local port = head:match "^CONNECT [^ ]*:(%d+)"
        local outer <close> = assert(net.connect { host = "127.0.0.1", port = tonumber(port) })
        inner:write "HTTP/1.1 200 Go\r\n\r\n"
        eddy.gather(function() copy(inner, outer) end, function() copy(outer, inner) end)
      end)
    end
  end)
  return listener, asked
end

function TestHttps:test_through_the_tunnel_of_a_proxy()
  local server <close> = serve "valid"
  local group <close> = eddy.group()
  local proxy <close>, asked = open_proxy(group)
  local client <close> = http.client { ca = ca(), proxy = "http://127.0.0.1:" .. proxy.port }
  for i = 1, 2 do
    local res = assert(client:get(at(server, "/" .. i)))
    lu.assertEquals({ res.body, res.reused }, { "hello /" .. i, i > 1 })
  end
  lu.assertEquals(asked, { ("CONNECT localhost:%d HTTP/1.1"):format(server.port) })
  group:cancel()
end

function TestHttps:test_a_silent_peer_and_the_time()
  local listener <close> = assert(net.listen { port = 0 })
  local res, err = http.get(("https://localhost:%d/"):format(listener.port), { ca = ca(), timeout = 0.1 })
  lu.assertNil(res)
  lu.assertEquals({ err.kind, err.code, err.op }, { "timeout", "ETIMEDOUT", "tls" })
end

function TestHttps:test_cancelled_in_the_handshake()
  local listener <close> = assert(net.listen { port = 0 })
  local task = eddy.spawn(http.get, ("https://localhost:%d/"):format(listener.port), { ca = ca() })
  local peer <close> = assert(listener:accept())
  assert(peer:read())
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertNil((peer:read()))   -- the connection went with it
end

return { TestHttps = TestHttps }
