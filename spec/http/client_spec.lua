-- SPDX-License-Identifier: MIT
-- The client where all goes well: framing, headers, bodies, redirects, reading in pieces.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local origin = require "spec.http.origin"

local TestGet = {}

function TestGet:test_length()
  local server <close> = origin.keep(origin.answer("hello", "X-One: 1\r\nx-one: 2\r\nContent-Type: text/plain\r\n"))
  local res = assert(http.get(server.url))
  lu.assertEquals(res.status, 200)
  lu.assertTrue(res.ok)
  lu.assertEquals(res.body, "hello")
  lu.assertEquals(res.url, server.url)
  lu.assertEquals(res.version, "1.1")
  lu.assertEquals(res.redirects, {})
  lu.assertEquals(res.headers["CONTENT-type"], "text/plain")
  lu.assertEquals(res.headers["x-one"], "1")
  lu.assertEquals(res.headers:all "X-One", { "1", "2" })
  lu.assertNil(res.headers["x-two"])
  local names = {}
  for name, value in pairs(res.headers) do names[#names + 1] = name .. "=" .. value end
  lu.assertEquals(names, { "x-one=1", "x-one=2", "content-type=text/plain", "content-length=5" })
  lu.assertTrue(res.timings.total >= res.timings.first_byte)
end

function TestGet:test_chunked_in_any_pieces()
  local bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nA: b\r\n\r\n"
  for _, size in ipairs { 1, 7, 64, 1000 } do
    local server <close> = origin.raw(function(stream)
      origin.read_head(stream)
      for at = 1, #bytes, size do
        stream:write(bytes:sub(at, at + size - 1))
        eddy.sleep(0.0005)
      end
    end)
    lu.assertEquals(assert(http.get(server.url)).body, "hello, world")
  end
end

function TestGet:test_until_close()
  local server <close> = origin.reply "HTTP/1.0 200 OK\r\n\r\nall of it"
  local client <close> = http.client()
  local res = assert(client:get(server.url))
  lu.assertEquals(res.body, "all of it")
  lu.assertEquals(res.version, "1.0")
  lu.assertEquals(client:stats().idle, 0)
end

function TestGet:test_no_body()
  for _, head in ipairs { "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" } do
    local server <close> = origin.keep(head)
    local client <close> = http.client()
    lu.assertEquals(assert(client:get(server.url)).body, "")
    lu.assertEquals(assert(client:get(server.url)).body, "")
    lu.assertEquals(client:stats().opened, 1)
  end
end

function TestGet:test_head()
  local server <close> = origin.keep "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
  local client <close> = http.client()
  lu.assertEquals(assert(client:head(server.url)).body, "")
  lu.assertEquals(assert(client:head(server.url)).headers["content-length"], "1000")
  lu.assertEquals(client:stats().reused, 1)
end

function TestGet:test_interim_answers_are_skipped()
  local server <close> = origin.reply(("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"):rep(32) .. origin.answer "end")
  lu.assertEquals(assert(http.get(server.url)).body, "end")
end

function TestGet:test_folded_header()
  local server <close> = origin.reply(origin.answer("x", "A: one\r\n  two\r\n"))
  lu.assertEquals(assert(http.get(server.url)).headers.a, "one two")
end

function TestGet:test_large_body()
  local body = ("0123456789abcdef"):rep(200000)
  local server <close> = origin.keep(origin.answer(body))
  lu.assertTrue(assert(http.get(server.url)).body == body)
  lu.assertTrue(assert(http.get(server.url, { stream = true })):read_all() == body)
end

function TestGet:test_statuses_are_data()
  local server <close> = origin.keep "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
  local res = assert(http.get(server.url))
  lu.assertFalse(res.ok)
  lu.assertEquals(res:expect(404), res)
  local none, err = res:expect()
  lu.assertNil(none)
  lu.assertEquals({ err.kind, err.code, err.response }, { "protocol", "HTTP_404", res })
end

function TestGet.test_outside_a_run_it_raises()
  local ok, message = pcall(http.get, "http://127.0.0.1:1/")
  lu.assertFalse(ok)
  lu.assertStrContains(message, "cannot await outside a task")
end

local TestRequest = {}

--- A server whose handler's requests are kept in a list.
local function recorder(seen)
  return assert(http.serve { handler = function(req)
    seen[#seen + 1] = req
    return "ok"
  end })
end

function TestRequest:test_what_is_sent()
  local heads = {}
  local server <close> = origin.raw(function(stream)
    heads[#heads + 1] = origin.read_head(stream)
    stream:write(origin.answer "")
  end)
  assert(http.get(server.url .. "a%20b?x=ü#part", { headers = { ["X-A"] = { 1, "two" }, Accept = false }, decode = false }))
  lu.assertEquals(heads[1], ("GET /a%%20b?x=%%C3%%BC HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: eddy/%s\r\n"
    .. "X-A: 1\r\nX-A: two\r\n\r\n"):format(server.port, eddy.version))
end

function TestRequest:test_host_replaces_ours()
  local seen = {}
  local server <close> = recorder(seen)
  assert(http.get("http://127.0.0.1:" .. server.port, { headers = { Host = "example.org" } }))
  lu.assertEquals(seen[1].headers:all "host", { "example.org" })
  lu.assertEquals(seen[1].target, "/")
end

function TestRequest:test_query()
  local seen = {}
  local server <close> = recorder(seen)
  local base = "http://127.0.0.1:" .. server.port .. "/p"
  assert(http.get(base, { query = { b = "x y", a = { 1, 2 }, ["&"] = true } }))
  assert(http.get(base .. "?z=1#f", { query = { { "b", 1 }, { "a", "+" } } }))
  lu.assertEquals(seen[1].query, "%26=true&a=1&a=2&b=x%20y")
  lu.assertEquals(seen[2].query, "z=1&b=1&a=%2B")
end

function TestRequest:test_bodies()
  local seen = {}
  local server <close> = recorder(seen)
  local base = "http://127.0.0.1:" .. server.port .. "/"
  assert(http.post(base, { body = "raw\0bytes" }))
  assert(http.put(base, { form = { a = "1 2", b = "ä" } }))
  assert(http.patch(base))
  assert(http.delete(base))
  lu.assertEquals(seen[1].body, "raw\0bytes")
  lu.assertEquals(seen[2].body, "a=1+2&b=%C3%A4")
  lu.assertEquals(seen[2].headers["content-type"], "application/x-www-form-urlencoded")
  lu.assertEquals(seen[3].headers["content-length"], "0")
  lu.assertNil(seen[4].headers["content-length"])
end

function TestRequest:test_json()
  local seen = {}
  local server <close> = recorder(seen)
  local url = "http://127.0.0.1:" .. server.port .. "/"
  local res = assert(http.post(url, { json = { a = 1 } }))
  lu.assertEquals(seen[1]:json(), { a = 1 })
  lu.assertEquals(seen[1].headers["content-type"], "application/json")
  lu.assertEquals(select(2, res:json()).code, "EJSON")
end

function TestRequest:test_large_upload()
  local body = ("x"):rep(900 * 1024)
  local seen = {}
  local server <close> = recorder(seen)
  assert(http.post("http://127.0.0.1:" .. server.port .. "/", { body = body }))
  lu.assertTrue(seen[1].body == body)
end

function TestRequest:test_early_answer_wins()
  local server <close> = origin.raw(function(stream)
    origin.read_head(stream)
    stream:write "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    eddy.sleep(0.2)
  end)
  local client <close> = http.client()
  lu.assertEquals(assert(client:post(server.url, { body = ("x"):rep(20e6), timeout = 3 })).status, 413)
  lu.assertEquals(client:stats().idle, 0)
end

function TestRequest:test_client_defaults()
  local seen = {}
  local server <close> = recorder(seen)
  local client <close> = http.client { base_url = "http://127.0.0.1:" .. server.port .. "/api", headers = { ["X-K"] = "v" } }
  assert(client:get "users?n=1")
  assert(client:get("/root", { headers = { ["x-k"] = false } }))
  lu.assertEquals({ seen[1].target, seen[1].headers["x-k"] }, { "/api/users?n=1", "v" })
  lu.assertEquals({ seen[2].target, seen[2].headers["x-k"] }, { "/root", nil })
end

local TestPieces = {}

local CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\none\r\nt\r\n8\r\nwo\nthree\r\n0\r\n\r\n"

function TestPieces:test_read()
  local server <close> = origin.keep(CHUNKED)
  local client <close> = http.client()
  local res <close> = assert(client:get(server.url, { stream = true }))
  lu.assertNil(res.body)
  lu.assertEquals(res:read(2), "on")
  lu.assertEquals(res:read(), "e\r\nt")
  lu.assertEquals(res:read_all(), "wo\nthree")
  lu.assertNil(res:read())
  lu.assertEquals(client:stats(), { opened = 1, reused = 0, closed = 0, idle = 1, busy = 0, waiting = 0 })
end

function TestPieces:test_lines_and_chunks()
  local server <close> = origin.keep(CHUNKED)
  local lines, chunks = {}, {}
  for line in assert(http.get(server.url, { stream = true })):lines() do lines[#lines + 1] = line end
  for chunk in assert(http.get(server.url, { stream = true })):chunks() do chunks[#chunks + 1] = chunk end
  lu.assertEquals(lines, { "one", "two", "three" })
  lu.assertEquals(table.concat(chunks), "one\r\ntwo\nthree")
end

function TestPieces:test_left_unread()
  local server <close> = origin.hang "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
  local client <close> = http.client()
  do
    local res <close> = assert(client:get(server.url, { stream = true }))
    lu.assertEquals(res:read(), "abc")
    lu.assertEquals(client:stats().busy, 1)
  end
  lu.assertEquals(client:stats(), { opened = 1, reused = 0, closed = 1, idle = 0, busy = 0, waiting = 0 })
end

function TestPieces:test_collected_unread()
  local server <close> = origin.hang "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
  local client <close> = http.client()
  assert(client:get(server.url, { stream = true }))
  eddy.sleep(0)
  collectgarbage()
  collectgarbage()
  lu.assertEquals(client:stats().busy, 0)
end

function TestPieces:test_truncated()
  local server <close> = origin.reply "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
  local res <close> = assert(http.get(server.url, { stream = true }))
  lu.assertEquals(res:read(), "abc")
  local none, err = res:read()
  lu.assertNil(none)
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "EOF", "body" })
  lu.assertEquals(select(2, res:read()), err)
end

function TestPieces:test_timeout_covers_the_body()
  local server <close> = origin.hang "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
  local res <close> = assert(http.get(server.url, { stream = true, timeout = 0.1 }))
  lu.assertEquals(res:read(), "abc")
  local _, err = res:read()
  lu.assertEquals({ err.kind, err.code, err.op }, { "timeout", "ETIMEDOUT", "body" })
end

local TestRedirects = {}

local function redirecting(status, seen)
  return assert(http.serve { handler = function(req)
    seen[#seen + 1] = req
    if req.path == "/end" then return "end" end
    if req.path == "/loop" then return 302, { Location = "/loop" } end
    if req.path == "/other" then return status, { Location = "http://localhost:1/x" } end
    if req.path == "/ftp" then return status, { Location = "ftp://x/" } end
    return status, { Location = "end" }, "elsewhere"
  end })
end

function TestRedirects:test_methods()
  for _, case in ipairs { { 301, "POST", "GET" }, { 302, "POST", "GET" }, { 303, "PUT", "GET" }, { 307, "POST", "POST" },
                          { 308, "PUT", "PUT" }, { 301, "PUT", "PUT" }, { 303, "HEAD", "HEAD" } } do
    local seen = {}
    local server <close> = redirecting(case[1], seen)
    local base = "http://127.0.0.1:" .. server.port
    local res = assert(http.request(case[2], base .. "/start", { body = case[2] ~= "HEAD" and "data" or nil }))
    lu.assertEquals(res.url, base .. "/end")
    lu.assertEquals(res.redirects, { { status = case[1], url = base .. "/start" } })
    lu.assertEquals(seen[2].method, case[3])
    lu.assertEquals(seen[2].body, case[3] == case[2] and case[2] ~= "HEAD" and "data" or "")
  end
end

function TestRedirects:test_limits()
  local seen = {}
  local server <close> = redirecting(302, seen)
  local base = "http://127.0.0.1:" .. server.port
  local _, err = http.get(base .. "/loop", { redirects = 3 })
  lu.assertEquals({ err.kind, err.code, #seen }, { "limit", "EREDIRECTS", 4 })
  lu.assertEquals(assert(http.get(base .. "/loop", { redirects = 0 })).status, 302)
  lu.assertEquals(select(2, http.get(base .. "/ftp")).code, "EREDIRECT")
end

function TestRedirects:test_credentials_do_not_go_to_another_port()
  local seen = {}
  local target <close> = assert(http.serve { handler = function(req) seen[#seen + 1] = req return "" end })
  local server <close> = assert(http.serve { handler = function()
    return 302, { Location = "http://127.0.0.1:" .. target.port .. "/" }
  end })
  assert(http.get("http://127.0.0.1:" .. server.port, { headers = { Authorization = "x", Cookie = "y", ["X-Z"] = "z" } }))
  lu.assertNil(seen[1].headers.authorization)
  lu.assertNil(seen[1].headers.cookie)
  lu.assertEquals(seen[1].headers["x-z"], "z")
end

function TestRedirects:test_in_pieces()
  local seen = {}
  local server <close> = redirecting(302, seen)
  local client <close> = http.client()
  local res <close> = assert(client:get("http://127.0.0.1:" .. server.port, { stream = true }))
  lu.assertEquals(res:read_all(), "end")
  lu.assertEquals(client:stats().busy, 0)
end

return { TestGet = TestGet, TestRequest = TestRequest, TestPieces = TestPieces, TestRedirects = TestRedirects }
