-- SPDX-License-Identifier: MIT
-- https on both sides: our client and our server over TLS, certificates that are refused, tunnels.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local tls = require "eddy.tls"
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

-- ---- Contexts and sessions ---------------------------------------------------------------------

local TestSessions = {}

--- A server over `context` that answers once per connection; `seen` gets what each handshake was.
local function once(context, group)
  local listener = assert(net.listen { port = 0, tls = context })
  local seen = {}
  group:spawn(function()
    for stream in listener:incoming() do
      local guard <close> = stream
      if stream:read_until "\r\n\r\n" then
        seen[#seen + 1] = stream:resumed()
        stream:write "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
      end
    end
  end)
  return listener, seen, ("https://localhost:%d/"):format(listener.port)
end

local function listening() return assert(tls.context(certificates.server("valid", { server = true }))) end

--- Two origins with the same name: each has sessions of its own.
function TestSessions:test_resumed_for_each_origin()
  local group <close> = eddy.group()
  local _one <close>, seen_one, url_one = once(listening(), group)
  local _two <close>, seen_two, url_two = once(listening(), group)
  local client <close> = http.client { ca = ca() }
  for _ = 1, 3 do
    for _, url in ipairs { url_one, url_two } do lu.assertEquals(assert(client:get(url)).body, "ok") end
  end
  lu.assertEquals({ seen_one, seen_two }, { { false, true, true }, { false, true, true } })
  lu.assertEquals(client:stats().opened, 6)
  group:cancel()
end

function TestSessions:test_each_client_and_setting_has_its_own()
  local group <close> = eddy.group()
  local listener <close>, seen, url = once(listening(), group)
  local client <close> = http.client { ca = ca() }
  local other <close> = http.client { ca = ca() }
  assert(client:get(url))
  assert(other:get(url))
  assert(client:get(url, { ca = certificates.text "ca.pem" }))   -- the same roots, said otherwise
  lu.assertEquals(seen, { false, false, false })
  assert(client:get(url))
  lu.assertEquals(seen[4], true)
  listener:close()
  group:cancel()
end

--- A session does not make a client forget what it demands.
function TestSessions:test_no_session_of_who_did_not_look()
  local group <close> = eddy.group()
  local listener <close>, seen, url = once(assert(tls.context(certificates.server("untrusted", { server = true }))), group)
  local client <close> = http.client { ca = ca() }
  for _ = 1, 2 do assert(client:get(url, { verify = false })) end
  local _, err = client:get(url)
  lu.assertEquals({ err.kind, err.code }, { "tls", "CERT_UNTRUSTED" })
  lu.assertEquals(seen, { false, true })
  listener:close()
  group:cancel()
end
TestSessions.config = { on_error = function() end }   -- that is reported

--- The files of an option are read once.
function TestSessions:test_contexts_are_made_once()
  local group <close> = eddy.group()
  local listener <close>, seen, url = once(listening(), group)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  file:write(certificates.text "ca.pem"):flush()
  local client <close> = http.client { ca = path }
  assert(client:get(url))
  os.remove(path)
  lu.assertEquals(assert(client:get(url)).body, "ok")
  lu.assertEquals(seen, { false, true })
  local other <close> = http.client { ca = path }
  local _, err = other:get(url)
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "ENOENT", "tls" })
  lu.assertEquals(other:stats().busy, 0)
  listener:close()
  group:cancel()
end

function TestSessions:test_client_certificates()
  local demanding = certificates.server("valid", { ca = ca() })
  local server <close> = assert(http.serve { handler = function() return "let in" end, tls = demanding })
  local key = certificates.path "client.key"
  local client <close> = http.client { ca = ca(), cert = certificates.path "client.pem", key = key }
  lu.assertEquals(assert(client:get(at(server))).body, "let in")
  local pem = certificates.text "client.pem" .. certificates.text "client.key"
  lu.assertEquals(assert(http.get(at(server), { ca = ca(), cert = pem })).body, "let in")
  for _, options in ipairs { {}, certificates.server "untrusted" } do   -- none, and one that is not trusted
    options.ca = ca()
    local res, err = http.get(at(server), options)
    lu.assertNil(res)
    lu.assertEquals(err.kind, "tls")
  end
  local _, err = http.get(at(server), { ca = ca(), cert = certificates.path "client.pem", key = certificates.path "valid.key" })
  lu.assertEquals({ err.kind, err.code }, { "tls", "CERT_INVALID" })
end

return { TestHttps = TestHttps, TestSessions = TestSessions }
