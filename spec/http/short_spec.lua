-- SPDX-License-Identifier: MIT
-- The short ways of client and server, and where they must give over to the long ones: both ways have
-- to answer alike.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"
local http = require "eddy.http"
local net = require "eddy.net"
local origin = require "spec.http.origin"
local serving = require "spec.support.serving"

-- ---- Client ------------------------------------------------------------------------------------

local TestClient = {}

--- A client with one idle connection to a server that answers its first request with "x" and then as
--- `answers` says, one each; it closes the connection where that is false.
local function warm(answers)
  local asked = {}
  local server = origin.raw(function(stream)
    while true do
      local head = origin.read_head(stream)
      if not head then return end
      local answer = #asked == 0 and origin.answer "x" or answers[#asked]
      asked[#asked + 1] = head:match "^%S+ %S+"
      if not answer then return end
      stream:write(answer)
    end
  end)
  local client = http.client { base_url = server.url, retry = 0 }
  assert(client:get(server.url))
  local guard = setmetatable({}, { __close = function() client:close() getmetatable(server).__close(server) end })
  return guard, client, server, asked
end

function TestClient:test_redirect_over_a_kept_connection()
  local guard <close>, client, server, asked = warm {
    "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", origin.answer "y",
  }
  local res = assert(client:get(server.url .. "here"))
  lu.assertEquals({ res.status, res.body, res.url }, { 200, "y", server.url .. "there" })
  lu.assertEquals(res.redirects, { { status = 302, url = server.url .. "here" } })
  lu.assertEquals(asked, { "GET /", "GET /here", "GET /there" })
end

function TestClient:test_too_many_redirects_over_a_kept_connection()
  local guard <close>, client, server = warm { "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n" }
  local res = assert(client:get(server.url, { redirects = 0 }))
  lu.assertEquals({ res.status, res.headers.location }, { 302, "/" })
end

function TestClient:test_coded_body_over_a_kept_connection()
  local gzip = "\x1f\x8b\x08\0\0\0\0\0\0\xff\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\5\0\0\0"
  local guard <close>, client, server = warm { origin.answer(gzip, "Content-Encoding: gzip\r\n") }
  local res = assert(client:get(server.url))
  lu.assertEquals({ res.body, res.headers["content-encoding"], res.reused }, { "hello", nil, true })
end

function TestClient:test_end_of_a_kept_connection()
  local guard <close>, client, server = warm { origin.answer("y", "Connection: close\r\n"), origin.answer "z" }
  lu.assertEquals(assert(client:get(server.url)).body, "y")
  local res = assert(client:get(server.url))
  lu.assertEquals({ res.body, res.reused, client:stats().closed }, { "z", false, 1 })
end

function TestClient:test_stale_connection_is_asked_again()
  local guard <close>, client, server, asked = warm { false, origin.answer "y" }
  local res = assert(client:get(server.url))
  lu.assertEquals({ res.body, res.reused, #asked }, { "y", false, 3 })
end

function TestClient:test_stale_connection_is_not_asked_again_for_a_post()
  local guard <close>, client, server, asked = warm { false }
  local res, err = client:post(server.url, { body = "once" })
  lu.assertNil(res)
  lu.assertEquals({ err.kind, err.code, err.target, #asked }, { "io", "EOF", server.url, 2 })
  lu.assertEquals(client:stats().busy, 0)
end

function TestClient:test_server_keeps_it_for_less()
  local guard <close>, client, server = warm { origin.answer("y", "Keep-Alive: timeout=0\r\n"), origin.answer "z" }
  assert(client:get(server.url))
  eddy.sleep(0.01)
  lu.assertEquals(assert(client:get(server.url)).reused, false)
end

function TestClient:test_trailers()
  local guard <close>, client, server = warm {
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\nX-Sum: 7\r\n\r\n",
  }
  local res = assert(client:get(server.url))
  lu.assertEquals({ res.body, res.trailers["x-sum"], res.reused }, { "y", "7", true })
end

function TestClient:test_timeout_over_a_kept_connection()
  for answer, phase in pairs { [""] = "head", ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ny"] = "body" } do
    local guard <close>, client, server = warm { answer }
    local res, err = client:get(server.url, { timeout = 0.05 })
    lu.assertNil(res)
    lu.assertEquals({ err.kind, err.code, err.op }, { "timeout", "ETIMEDOUT", phase })
    lu.assertEquals(client:stats().busy + client:stats().idle, 0)
  end
end

function TestClient:test_cancel_gives_the_place_back()
  local guard <close>, client, server = warm { "" }
  lu.assertFalse((eddy.within(0.02, client.get, client, server.url)))
  local stats = client:stats()
  lu.assertEquals({ stats.busy, stats.idle, stats.closed }, { 0, 0, 1 })
end

function TestClient:test_who_waits_gets_it()
  local server <close> = origin.keep(origin.answer "x")
  local client <close> = http.client { max = 1 }
  assert(client:get(server.url))
  local calls = {}
  for i = 1, 5 do calls[i] = function() return assert(client:get(server.url)).body end end
  lu.assertEquals({ table.unpack(eddy.gather(calls)) }, { "x", "x", "x", "x", "x" })
  lu.assertEquals({ server.connections, client:stats().idle }, { 1, 1 })
end

-- ---- Large bodies ------------------------------------------------------------------------------

local TestLarge = {}

function TestLarge:test_sizes_and_what_comes_behind()
  local client <close> = http.client {}
  for _, size in ipairs { 65535, 65536, 65537, 131072, 262144, 1048575, 1048576, 1048577, 3000000 } do
    local body = ("0123456789abcde\n"):rep(size // 16 + 1):sub(1, size)
    local server <close> = origin.keep(origin.answer(body))
    for _ = 1, 3 do lu.assertTrue(assert(client:get(server.url)).body == body, size) end
    lu.assertEquals(server.connections, 1)
  end
end

function TestLarge:test_more_than_announced_is_not_kept()
  local body = ("x"):rep(300000)
  local server <close> = origin.keep(origin.answer(body) .. origin.answer "never asked for")
  local client <close> = http.client {}
  for _ = 1, 2 do
    local res = assert(client:get(server.url))
    lu.assertEquals({ #res.body, res.reused }, { 300000, false })
  end
end

function TestLarge:test_cut_off()
  local server <close> = origin.reply((origin.answer(("x"):rep(1000000)):sub(1, 700000)))
  local res, err = http.get(server.url)
  lu.assertNil(res)
  lu.assertEquals(err.code, "EOF")
end

function TestLarge:test_promise_that_is_not_kept_costs_no_memory()
  local server <close> = origin.hang "HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\nx"
  local before = eddy.stats().bytes
  local task = eddy.spawn(http.get, server.url)
  eddy.sleep(0.05)
  lu.assertTrue(eddy.stats().bytes - before < 3000000)
  task:cancel()
end

function TestLarge:test_upload_that_the_socket_takes_in_pieces()
  local body = ("0123456789abcdef"):rep(500000)
  local server <close> = assert(http.serve { max_body = 1e9, handler = function(req) return tostring(req.body == body) end })
  local client <close> = http.client {}
  for _ = 1, 2 do
    lu.assertEquals(assert(client:post("http://127.0.0.1:" .. server.port .. "/", { body = body })).body, "true")
  end
end

-- ---- Server ------------------------------------------------------------------------------------

local TestServer = {}

local function ask(server, method, minor)
  return origin.talk(server.port, (method or "GET") .. " / HTTP/1." .. (minor or 1) .. "\r\nHost: a\r\nConnection: close\r\n\r\n")
    :gsub("Date: [^\r]*\r\n", "")
end

--- The same answer by the short way and, because there is work behind it, by the long one.
local function both_ways(method, ...)
  local answer = table.pack(...)
  local server <close>, reports = serving.serve(function(req)
    if req.headers["x-long"] then req:after(function() end) end
    return table.unpack(answer, 1, answer.n)
  end)
  local short = ask(server, method)
  local long = origin.talk(server.port, method .. " / HTTP/1.1\r\nHost: a\r\nX-Long: 1\r\nConnection: close\r\n\r\n")
    :gsub("Date: [^\r]*\r\n", "")
  lu.assertEquals(short, long)
  return short, reports
end

function TestServer:test_usual_answers()
  local head = "HTTP/1.1 %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s"
  local text = "Content-Type: text/plain; charset=utf-8\r\n"
  lu.assertEquals(both_ways("GET", "hello"), head:format("200 OK", text, 5, "hello"))
  lu.assertEquals(both_ways("GET", 404), head:format("404 Not Found", "", 0, ""))
  lu.assertEquals(both_ways("GET", 299, nil, "x"), head:format("299 Status", "", 1, "x"))
  lu.assertEquals(both_ways("HEAD", 200, nil, "four"), head:format("200 OK", "", 4, ""))
  lu.assertEquals(both_ways("GET", 200, { b = "2", A = "1", ["c-d"] = "3" }, "x"),
    head:format("200 OK", "A: 1\r\nb: 2\r\nc-d: 3\r\n", 1, "x"))
  lu.assertEquals(both_ways("GET", 204, { X = "y" }, "dropped"), "HTTP/1.1 204 No Content\r\nX: y\r\nConnection: close\r\n\r\n")
end

function TestServer:test_ours_alone()
  local answer = both_ways("GET", 200, { ["content-length"] = "99", DATE = "never", X = "y" }, "x")
  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
end

function TestServer:test_lists_numbers_and_many_fields_go_the_long_way()
  lu.assertStrContains(both_ways("GET", 200, { ["Set-Cookie"] = { "a=1", "b=2" }, N = 7 }, "x"),
    "N: 7\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n")
  local fields = {}
  for i = 1, 40 do fields[("X-%02d"):format(i)] = ("v"):rep(i * 10) end
  local answer = both_ways("GET", 200, fields, "x")
  for name, value in pairs(fields) do lu.assertStrContains(answer, name .. ": " .. value .. "\r\n") end
  lu.assertStrContains(both_ways("GET", 200, { Long = ("v"):rep(6000) }, "x"), "Long: " .. ("v"):rep(6000) .. "\r\n")
end

function TestServer:test_bodies_of_all_sizes()
  for _, size in ipairs { 0, 1, 3967, 3968, 3969, 4096, 65536, 1000000 } do
    local body = ("b"):rep(size)
    lu.assertTrue(both_ways("GET", 200, nil, body):sub(-size - 4) == "\r\n\r\n" .. body, size)
  end
end

function TestServer:test_what_must_not_be_sent()
  for _, fields in ipairs {
    { Connection = "close" }, { ["Transfer-Encoding"] = "chunked" }, { ["a b"] = "x" }, { a = "x\r\ny: z" },
    { [1] = "x" }, { [""] = "x" }, { a = true },
  } do
    local answer, reports = both_ways("GET", 200, fields, "x")
    lu.assertStrContains(answer, "500 Internal")
    lu.assertEquals(#reports, 2)
  end
  for _, status in ipairs { 199, 1000, 200.5, -1 } do
    lu.assertStrContains(both_ways("GET", status), "500 Internal")
  end
  lu.assertStrContains(both_ways("GET", nil), "500 Internal")
end

function TestServer:test_pipelined_requests_keep_their_order()
  local server <close> = serving.serve(function(req)
    if req.path:find "7" then eddy.sleep(0) end
    return req.path
  end)
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
  local requests = {}
  for i = 1, 100 do requests[i] = "GET /" .. i .. " HTTP/1.1\r\nHost: a\r\n\r\n" end
  eddy.spawn(stream.write, stream, table.concat(requests))
  for i = 1, 100 do
    local head = assert(stream:read_until "\r\n\r\n")
    lu.assertEquals(stream:read_exactly(tonumber(head:match "Content%-Length: (%d+)")), "/" .. i)
  end
end

function TestServer:test_a_busy_server_lets_others_run()
  local turns = 0
  local server <close> = serving.serve(function() return "x" end)
  local other = eddy.spawn(function() while true do turns = turns + 1 eddy.sleep(0) end end)
  local calls = {}
  for i = 1, 50 do
    calls[i] = function() for _ = 1, 4 do assert(http.get("http://127.0.0.1:" .. server.port .. "/")) end end
  end
  eddy.gather(calls)
  other:cancel()
  lu.assertTrue(turns >= 4)
end

function TestServer:test_a_handler_may_wait_and_nest()
  local server
  server = serving.serve(function(req)
    if req.path == "/" then return assert(http.get("http://127.0.0.1:" .. server.port .. "/inner")).body end
    eddy.sleep(0)
    return "inner of " .. req.target
  end)
  local calls = {}
  for i = 1, 20 do calls[i] = function() return assert(http.get("http://127.0.0.1:" .. server.port .. "/")).body end end
  for _, body in ipairs(eddy.gather(calls)) do lu.assertEquals(body, "inner of /inner") end
  server:close()
end

function TestServer:test_fields_of_a_request()
  local seen
  local server <close> = serving.serve(function(req)
    seen = { req.method, req.path, req.query or false, req.target, req.minor }
    req.path = "/mine"
    req.note = 7
    return req.path .. req.note .. tostring(req.nothing)
  end)
  lu.assertStrContains(origin.talk(server.port, "\r\nPUT /a%20b?c=d?e HTTP/1.0\r\n\r\n"), "/mine7nil")
  lu.assertEquals(seen, { "PUT", "/a%20b", "c=d?e", "/a%20b?c=d?e", 0 })
  origin.talk(server.port, "GET http://a?x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
  lu.assertEquals(seen, { "GET", "/", "x", "http://a?x", 1 })
  origin.talk(server.port, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
  lu.assertEquals(seen, { "OPTIONS", "*", false, "*", 1 })
end

function TestServer:test_what_a_handler_set_first_stays()
  local server <close> = serving.serve(function(req)
    req.path = "/rewritten"
    return req.method .. " " .. req.path
  end)
  lu.assertStrContains(ask(server), "GET /rewritten")
end

function TestServer:test_exchange_is_over_behind_the_answer()
  local kept
  local server <close> = serving.serve(function(req)
    kept = kept or req
    return "x"
  end)
  local url = "http://127.0.0.1:" .. server.port .. "/"
  for _ = 1, 3 do assert(http.get(url)) end
  local _, err = kept.exchange_:respond(200, "", "crossed")
  lu.assertEquals(err.code, "ECLOSED")
  lu.assertFalse(core.http.answer(kept.exchange_, "crossed"))
end

function TestServer:test_bodies_above_what_the_short_way_may_carry()
  local said = {}
  local server <close> = serving.serve(function(req)
    said[1] = core.http.answer(req.exchange_, "four", nil, nil, 3)
    said[2] = core.http.answer(req.exchange_, 200, nil, "four", 3)
    said[3] = core.http.answer(req.exchange_, 200, nil, "four", 4)
  end)
  lu.assertStrContains(ask(server), "\r\n\r\nfour")
  lu.assertEquals(said, { false, false, true })
end

return { TestClient = TestClient, TestLarge = TestLarge, TestServer = TestServer }
