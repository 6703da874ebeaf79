-- SPDX-License-Identifier: MIT
-- The client where the world is bad: each case gives `nil, err` that says what, on which address and
-- in which phase, within its time, and leaves no connection that another request could get.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local origin = require "spec.http.origin"

--- Ask, expect this error, and then that the pool is empty.
local function expect_error(server, kind, code, op, options)
  local client <close> = http.client()
  local began = eddy.now()
  options = options or {}
  options.timeout = options.timeout or 2
  local res, err = client:get(server.url, options)
  lu.assertNil(res)
  lu.assertEquals({ err.kind, err.code, err.op }, { kind, code, op })
  lu.assertStrContains(err.target, tostring(server.port))
  lu.assertTrue(eddy.now() - began < options.timeout + 0.5)
  local stats = client:stats()
  lu.assertEquals({ stats.idle, stats.busy, stats.waiting }, { 0, 0, 0 })
end

local TestBad = {}

function TestBad:test_refused()
  local port = origin.dead_port()
  expect_error({ url = "http://127.0.0.1:" .. port, port = port }, "io", "ECONNREFUSED", "connect")
end

function TestBad:test_unknown_host()
  local res, err = http.get("http://no-such-host.invalid/", { timeout = 10 })
  lu.assertNil(res)
  lu.assertEquals({ err.kind, err.op }, { "io", "resolve" })
  lu.assertTrue(err.code == "ENOTFOUND" or err.code == "EAGAIN", err.code)
  lu.assertStrContains(err.target, "no-such-host.invalid")
end

local CASES = {
  closed_before_answer = { "", "io", "EOF", "head" },
  truncated_head = { "HTTP/1.1 200 OK\r\nConte", "io", "EOF", "head" },
  truncated_body = { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "io", "EOF", "body" },
  truncated_chunk = { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "io", "EOF", "body" },
  truncated_chunks = { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "io", "EOF", "body" },
  garbage = { "hello there\r\n\r\n", "protocol", "EBADHEAD", "head" },
  garbage_status = { "HTTP/1.1 2x0 OK\r\n\r\n", "protocol", "EBADHEAD", "head" },
  version_2 = { "HTTP/2.0 200 OK\r\n\r\n", "protocol", "EBADHEAD", "head" },
  bare_lf = { "HTTP/1.1 200 OK\nA: b\n\n", "protocol", "EBADHEAD", "head" },
  space_before_colon = { "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "protocol", "EBADHEAD", "head" },
  both_framings = { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "protocol", "EBADFRAMING", "head" },
  two_lengths = { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "protocol", "EBADFRAMING", "head" },
  signed_length = { "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "protocol", "EBADFRAMING", "head" },
  bad_chunk = { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol", "EBADFRAMING", "body" },
  switching = { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "protocol", "EBADHEAD", "head" },
  interims = { ("HTTP/1.1 100 Continue\r\n\r\n"):rep(33), "limit", "EHEADERS", "head" },
  many_fields = { "HTTP/1.1 200 OK\r\n" .. ("A: b\r\n"):rep(1001) .. "\r\n", "limit", "EHEADERS", "head" },
  long_line = { "HTTP/1.1 200 OK\r\nA: " .. ("x"):rep(70000), "limit", "EHEADERS", "head" },
}

for name, case in pairs(CASES) do
  TestBad["test_" .. name] = function()
    local server <close> = origin.reply(case[1])
    expect_error(server, case[2], case[3], case[4])
  end
end

function TestBad:test_endless_header()
  local server <close> = origin.raw(function(stream)
    origin.read_head(stream)
    stream:write "HTTP/1.1 200 OK\r\n"
    while stream:write(("X-Filler: %s\r\n"):format(("y"):rep(1000))) do eddy.sleep(0) end
  end)
  expect_error(server, "limit", "EHEADERS", "head")
end

function TestBad:test_silence()
  local server <close> = origin.hang ""
  expect_error(server, "timeout", "ETIMEDOUT", "head", { timeout = 0.1 })
end

function TestBad:test_silence_in_the_body()
  local server <close> = origin.hang "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
  expect_error(server, "timeout", "ETIMEDOUT", "body", { timeout = 0.1 })
end

function TestBad:test_nobody_reads()
  local server <close> = origin.raw(function() eddy.sleep(1) end)
  local client <close> = http.client()
  local _, err = client:post(server.url, { body = ("x"):rep(30e6), timeout = 0.2 })
  lu.assertEquals({ err.kind, err.code, err.op }, { "timeout", "ETIMEDOUT", "write" })
  lu.assertEquals(client:stats().busy, 0)
end

function TestBad:test_no_time_at_all()
  local server <close> = origin.keep(origin.answer "x")
  local _, err = http.get(server.url, { timeout = 0 })
  lu.assertEquals({ err.kind, err.code }, { "timeout", "ETIMEDOUT" })
end

function TestBad:test_reset_in_the_body()
  local server <close> = origin.raw(function(stream)
    stream:read(1)   -- what stays unread turns the close into a reset
    stream:write "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
    eddy.sleep(0.1)
  end)
  local client <close> = http.client()
  local body = ("x"):rep(300000)
  local res, err = client:post(server.url, { body = body, timeout = 2 })
  lu.assertNil(res)
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "ECONNRESET", "body" })
  lu.assertEquals(client:stats().busy, 0)
end

function TestBad:test_body_limit()
  local server <close> = origin.hang(origin.answer(("x"):rep(1000)))
  expect_error(server, "limit", "EBODY", "body", { max_body = 999 })
  local chunked <close> = origin.hang "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\nabc\r\n"
  expect_error(chunked, "limit", "EBODY", "body", { max_body = 5 })
  local endless <close> = origin.hang("HTTP/1.1 200 OK\r\n\r\n" .. ("x"):rep(1000))
  expect_error(endless, "limit", "EBODY", "body", { max_body = 999 })
  lu.assertEquals(#assert(http.get(server.url, { max_body = 1000 })).body, 1000)
end

function TestBad:test_excess_poisons()
  local server <close> = origin.keep(origin.answer "one" .. origin.answer "evil")
  local client <close> = http.client()
  for _ = 1, 3 do lu.assertEquals(assert(client:get(server.url)).body, "one") end
  lu.assertEquals(client:stats().reused, 0)
end

function TestBad:test_late_excess_poisons()
  local server <close> = origin.raw(function(stream, n)
    origin.read_head(stream)
    stream:write(origin.answer("answer " .. n))
    eddy.sleep(0.03)
    stream:write(origin.answer "evil")
    origin.read_head(stream)
  end)
  local client <close> = http.client()
  lu.assertEquals(assert(client:get(server.url)).body, "answer 1")
  eddy.sleep(0.1)
  lu.assertEquals(assert(client:get(server.url)).body, "answer 2")
end

local TestInjection = {}

local BAD = { "a\rb", "a\nb", "a\r\nX: y", "a\0b" }

--- Nothing may reach a server.
local function with_listener(fn)
  local server <close> = origin.raw(function() end)
  fn(server.url)
  eddy.sleep(0.01)
  lu.assertEquals(server.connections, 0)
end

local function expect_invalid(res, err)
  lu.assertNil(res)
  lu.assertEquals({ err.kind, err.code }, { "protocol", "EINVAL" })
  lu.assertNil(tostring(err):find "[%c]")
end

function TestInjection:test_bytes()
  with_listener(function(url)
    for _, bad in ipairs(BAD) do
      expect_invalid(http.request("GET" .. bad, url))
      expect_invalid(http.get(url .. bad))
      expect_invalid(http.get("http://" .. bad .. "/"))
      expect_invalid(http.get(url, { headers = { [bad] = "x" } }))
      expect_invalid(http.get(url, { headers = { ["X-A"] = bad } }))
      expect_invalid(http.get(url, { headers = { ["X-A"] = { "fine", bad } } }))
      expect_invalid(http.get(url, { headers = { Host = bad } }))
    end
    for _, name in ipairs { "", "a b", "a:b", "ä", "(x)" } do
      expect_invalid(http.get(url, { headers = { [name] = "x" } }))
      expect_invalid(http.request(name, url))
    end
  end)
end

function TestInjection:test_escaped_where_that_is_possible()
  local seen = {}
  local server <close> = assert(http.serve { handler = function(req) seen[#seen + 1] = req return "" end })
  assert(http.get("http://127.0.0.1:" .. server.port, { query = { ["a\r\n"] = "b\0" }, }))
  lu.assertEquals(seen[1].target, "/?a%0D%0A=b%00")
end

function TestInjection:test_addresses()
  with_listener(function(url)
    for _, text in ipairs { "", "x", "/x", "ftp://x/", "http://", "http://:80/", "http://a:0/", "http://a:99999/",
                            "http://[::1/", "http://ä/", "http://a b/", "http:\\\\a" } do
      expect_invalid(http.get(text))
    end
    expect_invalid(http.get(url, { headers = { ["Content-Length"] = "5" } }))
    expect_invalid(http.post(url, { body = "abc", headers = { ["Content-Length"] = "2" } }))
    local _, err = http.get "http://user:secret@[x/"
    lu.assertNil(tostring(err):find "secret")
  end)
end

function TestInjection:test_misuse_raises()
  local url = "http://127.0.0.1:1/"
  local function raises(part, ...)
    local ok, message = pcall(http.request, ...)
    lu.assertFalse(ok)
    lu.assertStrContains(message, part)
    return message
  end
  raises("method", nil, url)
  raises("url", "GET", 5)
  raises("options", "GET", url, 5)
  raises("unknown option 'timout'", "GET", url, { timout = 1 })
  raises("timeout", "GET", url, { timeout = "1" })
  raises("not a number", "GET", url, { timeout = 0 / 0 })
  raises("headers", "GET", url, { headers = "x" })
  raises("header A", "GET", url, { headers = { A = true } })
  raises("Connection", "GET", url, { headers = { Connection = "close" } })
  raises("Transfer-Encoding", "GET", url, { headers = { ["Transfer-Encoding"] = "chunked" } })
  raises("only one of", "POST", url, { body = "", form = {} })
end

function TestInjection:test_misuse_names_the_line()
  local ok, message = pcall(function() http.get(5) end)
  lu.assertFalse(ok)
  lu.assertStrContains(message, "bad_spec.lua:")
end

return { TestBad = TestBad, TestInjection = TestInjection }
