-- SPDX-License-Identifier: MIT
-- The server: what handlers may return, framing, pipelining, bad input, stopping.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local origin = require "spec.http.origin"
local serving = require "spec.support.serving"

local serve, url_of = serving.serve, serving.url_of

local GET = "GET / HTTP/1.1\r\nHost: a\r\n"

local TestHandler = {}

function TestHandler:test_request()
  local seen
  local server <close> = serve(function(req) seen = req return "" end)
  origin.talk(server.port, "POST /a%20b/c?d=%20e HTTP/1.1\r\nhost: x\r\nX-Y: 1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
  lu.assertEquals({ seen.method, seen.path, seen.query, seen.target, seen.body, seen.headers["x-y"] },
    { "POST", "/a%20b/c", "d=%20e", "/a%20b/c?d=%20e", "abc", "1" })
  origin.talk(server.port, "GET http://h:1?q HTTP/1.1\r\nhost: x\r\nConnection: close\r\n\r\n")
  lu.assertEquals({ seen.path, seen.query, seen.body }, { "/", "q", "" })
end

function TestHandler:test_results()
  local answers = {
    ["/string"] = function() return "text" end,
    ["/status"] = function() return 201 end,
    ["/three"] = function() return 202, { ["X-A"] = { "1", "2" } }, "body" end,
    ["/table"] = function() return { status = 203, headers = { ["x-a"] = "1" }, body = "t" } end,
    ["/none"] = function() return 204, nil, "ignored" end,
  }
  local server <close> = serve(function(req) return answers[req.path]() end)
  local function get(path)
    local res = assert(http.get(url_of(server, path)))
    return { res.status, res.body, #res.headers:all "x-a" }
  end
  lu.assertEquals(get "/string", { 200, "text", 0 })
  lu.assertEquals(get "/status", { 201, "", 0 })
  lu.assertEquals(get "/three", { 202, "body", 2 })
  lu.assertEquals(get "/table", { 203, "t", 1 })
  lu.assertEquals(get "/none", { 204, "", 0 })
  lu.assertStrContains(assert(http.get(url_of(server, "/string"))).headers["content-type"], "text/plain")
  lu.assertNotNil(assert(http.get(url_of(server, "/string"))).headers.date:match "^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$")
end

local function counter(n)
  local i = 0
  return function()
    i = i + 1
    if i <= n then return "piece " .. i .. "\n" end
  end
end

function TestHandler:test_iterator()
  local server <close> = serve(function() return 200, nil, counter(3) end)
  local res = assert(http.get(url_of(server)))
  lu.assertEquals(res.body, "piece 1\npiece 2\npiece 3\n")
  lu.assertEquals(res.headers["transfer-encoding"], "chunked")
  local old = origin.talk(server.port, "GET / HTTP/1.0\r\n\r\n")
  lu.assertStrContains(old, "Connection: close\r\n\r\npiece 1\npiece 2\npiece 3\n")
end

function TestHandler:test_head()
  local server <close> = serve(function() return "12345" end)
  local got = origin.talk(server.port, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
  lu.assertStrContains(got, "Content-Length: 5\r\n")
  lu.assertEquals(got:sub(-4), "\r\n\r\n")
end

function TestHandler:test_errors()
  local bad = {
    ["/raise"] = function() error "secret detail" end,
    ["/object"] = function() error(eddy.error { kind = "io", message = "secret" }) end,
    ["/nothing"] = function() end,
    ["/status"] = function() return 99 end,
    ["/body"] = function() return 200, nil, 5 end,
    ["/inject"] = function() return 200, { ["X-A"] = "a\r\nX-B: b" } end,
    ["/name"] = function() return 200, { ["X A"] = "a" } end,
    ["/value"] = function() return 200, { ["X-A"] = true } end,
    ["/field"] = function() return { stauts = 5 } end,
    ["/file"] = function() return { file = 5 } end,
  }
  local server <close>, reports = serve(function(req) return bad[req.path]() end)
  local client <close> = http.client()
  local count = 0
  for path in pairs(bad) do
    local res = assert(client:get(url_of(server, path)))
    lu.assertEquals({ path, res.status, res.body }, { path, 500, "" })
    count = count + 1
    lu.assertEquals(#reports, count)
  end
  lu.assertEquals(client:stats().opened, 1)
end

function TestHandler:test_error_inside_an_iterator()
  local server <close>, reports = serve(function()
    local n = 0
    return 200, nil, function()
      n = n + 1
      if n == 2 then error "broken" end
      return "x"
    end
  end)
  local _, err = http.get(url_of(server))
  lu.assertEquals({ err.kind, err.code, err.op, #reports }, { "io", "EOF", "body", 1 })
end

function TestHandler:test_misuse()
  lu.assertStrContains(select(2, pcall(http.serve, {})), "handler")
  lu.assertStrContains(select(2, pcall(http.serve, { handler = print, prot = 1 })), "unknown option 'prot'")
  lu.assertStrContains(select(2, pcall(http.serve, { handler = print, port = "1" })), "port")
  local server <close> = serve(function() return "" end)
  local _, err = http.serve { handler = print, port = server.port }
  lu.assertEquals(err.code, "EADDRINUSE")
end

local TestConnection = {}

function TestConnection:test_pipelined()
  local server <close> = serve(function(req)
    eddy.sleep(math.random() * 0.002)
    return req.path .. req.body
  end)
  local requests = {}
  for i = 1, 20 do
    requests[i] = i % 2 == 0 and ("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"):format(i)
      or ("POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n"):format(i)
  end
  requests[21] = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
  local got = origin.talk(server.port, table.concat(requests))
  local bodies = {}
  for body in got:gmatch "\r\n\r\n(/[%l%d]+!?)" do bodies[#bodies + 1] = body end
  lu.assertEquals(#bodies, 21)
  lu.assertEquals({ bodies[1], bodies[2], bodies[20], bodies[21] }, { "/1!", "/2", "/20", "/last" })
end

function TestConnection:test_one_byte_at_a_time()
  local server <close> = serve(function(req) return req.body end)
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
  local bytes = "\r\nPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
  for i = 1, #bytes do
    stream:write(bytes:sub(i, i))
    eddy.sleep(0)
  end
  stream:read_until "\r\n\r\n"
  lu.assertEquals(stream:read(), "abcde")
end

function TestConnection:test_http_1_0()
  local server <close> = serve(function() return "x" end)
  lu.assertStrContains(origin.talk(server.port, "GET / HTTP/1.0\r\n\r\n"), "Connection: close\r\n\r\nx")
  local kept = origin.talk(server.port, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
  lu.assertEquals(select(2, kept:gsub("HTTP/1.1 200", "")), 2)
end

function TestConnection:test_expect_continue()
  local server <close> = serve(function(req) return req.body end)
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
  stream:write "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
  lu.assertEquals(stream:read_until "\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n")
  stream:write "abc"
  stream:read_until "\r\n\r\n"
  lu.assertEquals(stream:read(), "abc")
end

local REFUSED = {
  { "nonsense\r\n\r\n", 400 },
  { "GET / HTTP/1.1\r\n\r\n", 400 },
  { GET .. "Host: b\r\n\r\n", 400 },
  { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505 },
  { "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
  { GET .. "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
  { GET .. "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400 },
  { GET .. "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400 },
  { GET .. "Content-Length: +5\r\n\r\nxxxxx", 400 },
  { GET .. "Content-Length: 0x5\r\n\r\nxxxxx", 400 },
  { GET .. "Content-Length: 5 ,5\r\n\r\nxxxxx", 400 },
  { GET .. "Content-Length: -1\r\n\r\n", 400 },
  { GET .. "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400 },
  { GET .. "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400 },
  { GET .. "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400 },
  { GET .. "X: a\r\n b\r\n\r\n", 400 },
  { "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400 },
  { GET .. "X: a\0b\r\n\r\n", 400 },
  { "GET / HTTP/1.1\nHost: a\n\n", 400 },
  { GET .. "X: a\rb\r\n\r\n", 400 },
  { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400 },
  { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n", 400 },
  { "GET /" .. ("x"):rep(9000) .. " HTTP/1.1\r\nHost: a\r\n\r\n", 414 },
  { GET .. "X: " .. ("x"):rep(9000) .. "\r\n\r\n", 431 },
  { GET .. ("X: y\r\n"):rep(101) .. "\r\n", 431 },
  { GET .. ("X: " .. ("x"):rep(8000) .. "\r\n"):rep(5) .. "\r\n", 431 },
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413 },
  { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" .. ("x"):rep(101) .. "\r\n0\r\n\r\n", 413 },
}

function TestConnection:test_refused()
  local reached = 0
  local server <close> = serve(function() reached = reached + 1 return "" end, { max_body = 100 })
  for _, case in ipairs(REFUSED) do
    local got = origin.talk(server.port, case[1] .. GET .. "\r\n")
    lu.assertEquals({ case[1]:sub(1, 80), tonumber(got:match "^HTTP/1.1 (%d+) ") }, { case[1]:sub(1, 80), case[2] })
    lu.assertStrContains(got, "Connection: close\r\n")
    lu.assertEquals(select(2, got:gsub("HTTP/1.1", "")), 1)
  end
  lu.assertEquals(reached, 0)
end

function TestConnection:test_peer_goes()
  local reached = 0
  local server <close> = serve(function() reached = reached + 1 return "" end)
  for _, bytes in ipairs { "", "GET", GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab" } do
    local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
    if bytes ~= "" then stream:write(bytes) end
  end
  eddy.sleep(0.05)
  lu.assertEquals(reached, 0)
  lu.assertEquals(server:stats().connections, 0)
end

local TestStop = {}

function TestStop:test_grace()
  local server = serve(function() eddy.sleep(0.05) return "done" end)
  local client <close> = http.client()
  local running = eddy.spawn(client.get, client, url_of(server))
  local idle <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
  eddy.sleep(0.02)
  server:stop(5)
  lu.assertEquals(assert(running:await()).body, "done")
  lu.assertNil(idle:read())
  lu.assertEquals(select(2, client:get(url_of(server))).code, "ECONNREFUSED")
end

function TestStop:test_grace_for_a_request_that_is_under_way()
  local server = serve(function(req) return req.body end)
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
  stream:write "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na"
  eddy.sleep(0.02)
  local stopping = eddy.spawn(server.stop, server, 5)
  eddy.sleep(0.02)
  stream:write "bc"
  lu.assertStrContains(stream:read_until "\r\n\r\n", "Connection: close")
  lu.assertEquals(stream:read(), "abc")
  lu.assertNil(stream:read())
  stopping:await()
end

function TestStop:test_without_grace()
  local server = serve(function() eddy.sleep(100) end)
  local running = eddy.spawn(http.get, url_of(server))
  eddy.sleep(0.02)
  server:stop()
  server:stop()
  local _, err = running:await()
  lu.assertEquals(err.kind, "io")
end

function TestStop:test_block_of_the_caller_is_cancelled()
  lu.assertFalse((eddy.within(0.05, function()
    serve(function() return "" end)
  end)))
end

return { TestHandler = TestHandler, TestConnection = TestConnection, TestStop = TestStop }
