-- SPDX-License-Identifier: MIT
-- Promises that concern both sides or several parts at once: back-pressure, credentials between origins,
-- tunnels, one deadline, work after the answer, an end that accepts no more.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local origin = require "spec.http.origin"
local certificates = require "spec.support.certificates"
local serving = require "spec.support.serving"
local testing = require "eddy.testing"

local PIECE = ("x"):rep(262144)
local ROOM = 40 * 1024 * 1024   -- above what the system's buffers of both sides hold

local url_of = serving.url_of

--- Wait until `count()` grows no more; what it is then.
local function settled(count)
  local last
  repeat
    last = count()
    eddy.sleep(0.1)
  until count() == last and last > 0
  return last
end

-- ---- Back-pressure -----------------------------------------------------------------------------

local TestPressure = {}

function TestPressure:test_a_client_that_does_not_read_stops_the_handler()
  local sent = 0
  local server <close> = assert(http.serve { handler = function()
    return 200, nil, function()
      sent = sent + #PIECE
      return PIECE
    end
  end })
  local res <close> = assert(http.get(url_of(server), { stream = true }))
  lu.assertEquals(#res:read(100), 100)
  local before = settled(function() return sent end)
  lu.assertTrue(before < ROOM, before)
  local got = 0
  while got < ROOM do got = got + #res:read() end
  lu.assertTrue(sent > before)
end

function TestPressure:test_a_handler_that_does_not_read_stops_the_client()
  local given, go = 0, eddy.event()
  local server <close> = assert(http.serve { stream = true, handler = function(req)
    req:read(100)
    go:wait()
    local got = 100
    for piece in req:chunks() do got = got + #piece end
    return tostring(got)
  end })
  local task = eddy.spawn(http.post, url_of(server), { body = function()
    if given >= 2 * ROOM then return nil end
    given = given + #PIECE
    return PIECE
  end })
  local before = settled(function() return given end)
  lu.assertTrue(before < ROOM, before)
  go:set()
  lu.assertEquals(assert(task:await()).body, tostring(given))
end

-- ---- Credentials -------------------------------------------------------------------------------

local TestCredentials = {}

local SECRETS = { auth = { "user", "secret" }, headers = { Cookie = "a=secret", ["Proxy-Authorization"] = "secret", ["X-A"] = "stays" } }

--- Does a request that is redirected to `to` show its credentials there?
local function shows(from, to, options)
  for name, value in pairs(SECRETS) do options[name] = value end
  local res = assert(http.get(from, options))
  lu.assertEquals(res.url, to)
  lu.assertStrContains(res.body, "x-a: stays")
  return res.body:find "secret" ~= nil
end

local function echo_fields(req)
  local lines = {}
  for name, value in pairs(req.headers) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\n")
end

function TestCredentials:test_scheme_host_and_port()
  local target
  local function handler(req)
    if req.path == "/end" then return echo_fields(req) end
    return 302, { Location = target }
  end
  local tls = certificates.server "valid"
  local plain <close> = assert(http.serve { handler = handler })
  local other <close> = assert(http.serve { handler = handler })
  local secure <close> = assert(http.serve { handler = handler, tls = tls })
  local function options() return { ca = certificates.path "ca.pem", resolve = { ["good.test"] = "127.0.0.1" } } end
  local here = ("http://localhost:%d/"):format(plain.port)
  for to, is_same in pairs {
    [here .. "end"] = true,
    [("http://localhost:%d/end"):format(other.port)] = false,        -- port
    [("http://127.0.0.1:%d/end"):format(plain.port)] = false,        -- host
    [("http://good.test:%d/end"):format(plain.port)] = false,        -- host, though it is the same server
    [("https://localhost:%d/end"):format(secure.port)] = false,      -- scheme
  } do
    target = to
    lu.assertEquals({ to, shows(here, to, options()) }, { to, is_same })
  end
end

--- What was dropped on the way is not taken up again on the way back.
function TestCredentials:test_there_and_back()
  local away <close> = assert(http.serve { handler = function(req) return 302, { Location = req.query } end })
  local home <close> = assert(http.serve { handler = function(req)
    if req.path == "/end" then return echo_fields(req) end
    return 302, { Location = url_of(away, "/?") .. req.query }
  end })
  lu.assertFalse(shows(url_of(home, "/?") .. url_of(home, "/end"), url_of(home, "/end"), {}))
end

function TestCredentials:test_of_a_proxy_go_to_the_proxy_alone()
  local heads = {}
  local server <close> = assert(http.serve { handler = echo_fields, tls = certificates.server "valid" })
  local proxy <close> = origin.raw(function(stream)
    heads[#heads + 1] = origin.read_head(stream)
    local far <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
    stream:write "HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 200 Go\r\nX-Any: thing\r\n\r\n"
    local function copy(from, to)
      while true do
        local piece = from:read()
        if not piece or not to:write(piece) then return to:shutdown() end
      end
    end
    eddy.gather(function() copy(stream, far) end, function() copy(far, stream) end)
  end)
  local client <close> = http.client { ca = certificates.path "ca.pem", auth = { bearer = "for-the-server" },
    proxy = ("http://pete:p%%40ss@127.0.0.1:%d"):format(proxy.port) }
  local res = assert(client:get(("https://localhost:%d/"):format(server.port)))
  lu.assertStrContains(res.body, "authorization: Bearer for-the-server")
  lu.assertNil(res.body:find "proxy")
  lu.assertEquals(heads, { ("CONNECT localhost:%d HTTP/1.1\r\nHost: localhost:%d\r\nProxy-Authorization: Basic cGV0ZTpwQHNz\r\n\r\n")
    :format(server.port, server.port) })
end

--- What a proxy says behind its answer is not the server's.
function TestCredentials:test_a_tunnel_that_says_more()
  local proxy <close> = origin.raw(function(stream)
    origin.read_head(stream)
    stream:write "HTTP/1.1 200 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake"
    while stream:read() do end   -- luacheck: ignore 542
  end)
  local res, err = http.get("https://localhost/", { proxy = "127.0.0.1:" .. proxy.port })
  lu.assertNil(res)
  lu.assertEquals({ err.kind, err.code, err.op }, { "tls", "TLS_PROTOCOL", "tls" })
end

-- ---- One deadline ------------------------------------------------------------------------------

local TestDeadline = {}

--- Redirects, attempts and the body share it.
function TestDeadline:test_covers_all_of_it()
  local server <close> = assert(http.serve { handler = function(req)
    eddy.sleep(0.06)
    if req.path == "/503" then return 503, { ["Retry-After"] = "0" } end
    return 302, { Location = req.path }
  end })
  for path, options in pairs {
    ["/loop"] = { redirects = 1000 }, ["/503"] = { retry = { attempts = 1000, statuses = { 503 } } },
  } do
    options.timeout = 0.2
    local began = eddy.now()
    local res, err = http.get(url_of(server, path), options)
    lu.assertTrue(eddy.now() - began < 2)
    -- An attempt that would not end in time is not begun: its answer is the one that is there.
    if path == "/503" and res then lu.assertEquals(res.status, 503)
    else lu.assertEquals({ err.kind, err.code, err.op }, { "timeout", "ETIMEDOUT", "head" }) end
  end
end

-- ---- Work after the answer ---------------------------------------------------------------------

local TestAfter = {}

local function after_server(seen, options)
  options = options or {}
  options.on_error = function(err) seen.reports[#seen.reports + 1] = err end
  options.handler = function(req)
    req:after(function(a, b)
      if seen.gate then seen.gate:wait() end
      seen[#seen + 1] = a .. b
    end, req.path, 1)
    if req.path == "/error" then error "broken" end
    if req.path == "/pieces" then
      local res <close> = req:respond()
      res:write "x"
      return
    end
    return "x"
  end
  return assert(http.serve(options))
end

function TestAfter:test_whole_in_pieces_and_behind_an_error()
  local seen = { reports = {} }
  local server <close> = after_server(seen)
  for i, path in ipairs { "/whole", "/pieces", "/error" } do
    assert(http.get(url_of(server, path)))
    testing.eventually(function() return #seen == i end)
  end
  lu.assertEquals({ table.unpack(seen) }, { "/whole1", "/pieces1", "/error1" })
  lu.assertEquals(#seen.reports, 1)
end

--- Once the answer is out the peer's leaving is nothing to it, and it does not delay the next request.
function TestAfter:test_is_not_the_peers_business()
  local seen = { reports = {}, gate = eddy.event() }
  local server <close> = after_server(seen)
  local client = http.client()
  for _ = 1, 3 do assert(client:get(url_of(server))) end
  lu.assertEquals({ client:stats().opened, #seen }, { 1, 0 })
  client:close()
  testing.eventually(function() return server:stats().connections == 0 end)
  lu.assertEquals(#seen, 0)
  seen.gate:set()
  testing.eventually(function() return #seen == 3 end)
end

function TestAfter:test_has_the_grace_of_a_stop()
  local patient = { reports = {}, gate = eddy.event() }
  local server = after_server(patient)
  assert(http.get(url_of(server)))
  local stopping = eddy.spawn(server.stop, server, { grace = 1000 })
  eddy.sleep(0.02)
  lu.assertEquals({ stopping:status(), #patient }, { "waiting", 0 })
  patient.gate:set()
  stopping:await()
  lu.assertEquals(#patient, 1)
  local hasty = { reports = {}, gate = eddy.event() }
  local other = after_server(hasty)
  assert(http.get(url_of(other)))
  local began = eddy.now()
  other:stop { grace = 0.05 }
  lu.assertTrue(eddy.now() - began < 5)
  lu.assertEquals({ #hasty, #hasty.reports }, { 0, 0 })
end

-- ---- Stopping ----------------------------------------------------------------------------------

local TestStop = {}

--- While a handler finishes nobody else gets in; it finishes, and its connection ends behind the answer.
function TestStop:test_accepts_no_more_and_finishes()
  local go, began = eddy.event(), eddy.event()
  local server = assert(http.serve { linger = 0.2, handler = function(req)
    if req.path == "/first" then
      began:set()
      go:wait()
    end
    return req.path
  end })
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
  stream:write "GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n"
  began:wait()
  local stopping = eddy.spawn(server.stop, server, { grace = 10 })
  testing.eventually(function() return (select(2, net.connect { host = "127.0.0.1", port = server.port }) or {}).code == "ECONNREFUSED" end)
  lu.assertEquals(stopping:status(), "waiting")
  go:set()
  local got = stream:read_all()
  lu.assertStrContains(got, "Connection: close\r\n")
  lu.assertStrContains(got, "\r\n\r\n/first")
  lu.assertNil(got:find "/second")   -- it was told that nothing more will come, and may ask elsewhere
  stopping:await()
  server:stop()   -- again is nothing
  lu.assertEquals(server:stats().connections, 0)
end

return {
  TestPressure = TestPressure, TestCredentials = TestCredentials, TestDeadline = TestDeadline, TestAfter = TestAfter,
  TestStop = TestStop,
}
