-- SPDX-License-Identifier: MIT
-- What a client decides by itself: redirects, retries, proxies, cookies.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local mime = require "eddy.http.mime"
local process = require "spec.support.process"
local retry_policy = require "eddy.http.retry"
local model = require "spec.http.model"
local origin = require "spec.http.origin"

--- A server that answers what `script(n, head, body)` returns for its n-th request; heads are kept.
local function scripted(script)
  local self
  local heads, n = {}, 0
  self = origin.raw(function(stream)
    while true do
      local head = origin.read_head(stream)
      if not head then return end
      n = n + 1
      heads[n] = head
      local length = tonumber(head:match "Content%-Length: (%d+)")
      local body = length and length > 0 and stream:read_exactly(length) or ""
      local bytes = script(n, head, body)
      if not bytes or not stream:write(bytes) then return end
    end
  end)
  self.heads = heads
  return self
end

local function status(code, extra)
  return ("HTTP/1.1 %d X\r\n%sContent-Length: 0\r\n\r\n"):format(code, extra or "")
end

-- ---- Redirects ---------------------------------------------------------------------------------

local TestRedirects = {}

-- Status, method -> method of the next request.
local MATRIX = {
  [301] = { GET = "GET", HEAD = "HEAD", POST = "GET", PUT = "PUT", DELETE = "DELETE" },
  [302] = { GET = "GET", HEAD = "HEAD", POST = "GET", PUT = "PUT", DELETE = "DELETE" },
  [303] = { GET = "GET", HEAD = "HEAD", POST = "GET", PUT = "GET", DELETE = "GET" },
  [307] = { GET = "GET", HEAD = "HEAD", POST = "POST", PUT = "PUT", DELETE = "DELETE" },
  [308] = { GET = "GET", HEAD = "HEAD", POST = "POST", PUT = "PUT", DELETE = "DELETE" },
}

function TestRedirects:test_matrix()
  for code, methods in pairs(MATRIX) do
    for method, wanted in pairs(methods) do
      local bodies = {}
      local server <close> = scripted(function(n, _, body)
        bodies[n] = body
        return n == 1 and status(code, "Location: /next\r\n") or status(200)
      end)
      local has_body = method == "POST" or method == "PUT"
      local res = assert(http.request(method, server.url, { body = has_body and "data" or nil, auth = { "u", "p" } }))
      lu.assertEquals(res.url, server.url .. "next")
      lu.assertEquals(res.redirects, { { status = code, url = server.url } })
      lu.assertEquals(server.heads[2]:match "^%u+", wanted)
      lu.assertEquals(bodies[2], has_body and wanted == method and "data" or "")
      lu.assertStrContains(server.heads[2], "Authorization: Basic")
    end
  end
end

function TestRedirects:test_credentials_stay_with_their_origin()
  local other <close> = scripted(function() return status(200) end)
  local server <close> = scripted(function() return status(302, "Location: " .. other.url .. "\r\n") end)
  local options = { auth = { "u", "p" }, cookies = { a = "1" }, headers = { ["Proxy-Authorization"] = "x", ["X-A"] = "y" } }
  assert(http.get(server.url, options))
  lu.assertStrContains(server.heads[1], "Authorization: Basic")
  lu.assertStrContains(server.heads[1], "Cookie: a=1")
  lu.assertNil(other.heads[1]:find "uthorization")
  lu.assertNil(other.heads[1]:find "Cookie")
  lu.assertStrContains(other.heads[1], "X-A: y")
end

function TestRedirects:test_refused()
  for _, location in ipairs { "file:///etc/passwd", "ftp://x/", "javascript:1", "http://", "http://a b/", "http://[x/" } do
    local server <close> = scripted(function() return status(302, "Location: " .. location .. "\r\n") end)
    local _, err = http.get(server.url)
    lu.assertEquals({ err.kind, err.code }, { "protocol", "EREDIRECT" }, location)
  end
end

function TestRedirects:test_loops_end_and_zero_follows_none()
  local server <close> = scripted(function() return status(302, "Location: /\r\n") end)
  local _, err = http.get(server.url, { redirects = 3 })
  lu.assertEquals({ err.kind, err.code, #server.heads }, { "limit", "EREDIRECTS", 4 })
  lu.assertEquals(assert(http.get(server.url, { redirects = 0 })).status, 302)
  lu.assertEquals(assert(http.get(server.url, { redirects = { max = 0 } })).status, 302)
end

function TestRedirects:test_a_used_body_cannot_be_sent_again()
  local server <close> = origin.raw(function(stream)
    origin.read_head(stream)
    stream:read_until "0\r\n\r\n"
    stream:write(status(307, "Location: /\r\n"))
  end)
  local done
  local _, err = http.post(server.url, { body = function() if not done then done = true return "x" end end })
  lu.assertEquals(err.code, "EREDIRECT")
end

-- ---- Retries -----------------------------------------------------------------------------------

local TestRetries = {}

--- A server that closes the first `n` connections unanswered.
local function flaky(n)
  return origin.raw(function(stream, count)
    if origin.read_head(stream) and count > n then stream:write(origin.answer("after " .. count)) end
  end)
end

function TestRetries:test_closed_before_the_answer()
  local server <close> = flaky(2)
  lu.assertEquals(assert(http.get(server.url, { retry = 2 })).body, "after 3")
  local again <close> = flaky(2)
  local _, err = http.get(again.url, { retry = 1 })
  lu.assertEquals({ err.code, again.connections }, { "EOF", 2 })
  local post <close> = flaky(1)
  _, err = http.post(post.url, { retry = 3 })
  lu.assertEquals({ err.code, post.connections }, { "EOF", 1 })
end

function TestRetries:test_no_retry_once_a_byte_came()
  local server <close> = origin.reply "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
  local _, err = http.get(server.url, { retry = 3 })
  lu.assertEquals({ err.code, server.connections }, { "EOF", 1 })
end

function TestRetries:test_refused_connections_of_any_method()
  local port = origin.dead_port()
  local began = eddy.now()
  local _, err = http.post(("http://127.0.0.1:%d/"):format(port), { retry = 2 })
  lu.assertEquals(err.code, "ECONNREFUSED")
  lu.assertTrue(eddy.now() - began >= 0.05 + 0.1)
end

function TestRetries:test_statuses_and_retry_after()
  local server <close> = scripted(function(n)
    if n == 1 then return status(503, "Retry-After: 0\r\n") end
    return n == 2 and status(429, "Retry-After: 0\r\n") or status(200)
  end)
  local retry = { attempts = 2, statuses = { 503, 429 } }
  lu.assertEquals(assert(http.get(server.url, { retry = retry })).status, 200)
  local post <close> = scripted(function() return status(503, "Retry-After: 0\r\n") end)
  lu.assertEquals(assert(http.post(post.url, { retry = retry })).status, 503)
  lu.assertEquals(#post.heads, 1)
  lu.assertEquals(assert(http.get(post.url, { retry = 5 })).status, 503)
  lu.assertEquals(#post.heads, 2)
  local late <close> = scripted(function() return status(503, "Retry-After: 100\r\n") end)
  lu.assertEquals(assert(http.get(late.url, { retry = retry })).status, 503)
  lu.assertEquals(#late.heads, 1)
end

function TestRetries:test_retry_after_in_seconds_and_dates()
  local now = os.time()
  local function near(field, seconds)
    local got = retry_policy.after(field)
    lu.assertTrue(got and math.abs(got - seconds) <= 1, ("%s: %s"):format(field, got))
  end
  near("0", 0)
  near("120", 120)
  near(mime.format_date(now + 90), 90)
  near(mime.format_date(now - 90), 0)
  near("Sunday, 06-Nov-94 08:49:37 GMT", 0)
  near("Sun Nov  6 08:49:37 1994", 0)
  near("Fri, 31 Dec 2100 23:59:59 GMT", 4133980799 - now)   -- whatever the time zone
  for _, field in ipairs { "", "-1", "1.5", "soon", "Fri, 31 Foo 2100 23:59:59 GMT", "0x10", " 5" } do
    lu.assertNil(retry_policy.after(field), field)
  end
  lu.assertNil(retry_policy.after(nil))
end

function TestRetries:test_waits_until_the_date()
  local began = eddy.now()
  local server <close> = scripted(function(n)
    if n == 1 then return status(503, "Retry-After: " .. mime.format_date(os.time() + 2) .. "\r\n") end
    return status(200)
  end)
  local retry = { attempts = 1, statuses = { 503 } }
  lu.assertEquals(assert(http.get(server.url, { retry = retry })).status, 200)
  lu.assertTrue(eddy.now() - began >= 1)
  local late <close> = scripted(function() return status(503, "Retry-After: " .. mime.format_date(os.time() + 90) .. "\r\n") end)
  lu.assertEquals(assert(http.get(late.url, { retry = retry })).status, 503)   -- behind the deadline: at once
  lu.assertEquals(#late.heads, 1)
end

--- Attempt n waits at most 0.1 * 2^(n-1) seconds, at least half of that, never above ten.
function TestRetries:test_pauses_double_with_jitter()
  for attempt, most in ipairs { 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10 } do
    local low, high = math.huge, 0
    for _ = 1, 200 do
      local pause = retry_policy.pause(attempt)
      low, high = math.min(low, pause), math.max(high, pause)
    end
    lu.assertTrue(low >= most / 2 and high <= most and high - low > most / 8, attempt)
  end
end

-- ---- Proxies -----------------------------------------------------------------------------------

local TestProxies = {}

function TestProxies:test_http_in_absolute_form()
  local proxy <close> = scripted(function() return origin.answer "by proxy" end)
  local res = assert(http.get("http://some.invalid/x?y=1", { proxy = ("http://us:pw@127.0.0.1:%d"):format(proxy.port) }))
  lu.assertEquals(res.body, "by proxy")
  lu.assertStrMatches(proxy.heads[1], "GET http://some%.invalid/x%?y=1 HTTP/1%.1\r\nHost: some%.invalid\r\n.*")
  lu.assertStrContains(proxy.heads[1], "Proxy-Authorization: Basic dXM6cHc=\r\n")
end

function TestProxies:test_no_proxy()
  local server <close> = scripted(function() return origin.answer "direct" end)
  for _, list in ipairs { { "127.0.0.1" }, "x, 127.0.0.1", "*", "127.0.0.1:" .. server.port } do
    local options = { proxy = "http://127.0.0.1:1", no_proxy = list }
    lu.assertEquals(assert(http.get(server.url, options)).body, "direct")
  end
  local _, err = http.get(server.url, { proxy = "http://127.0.0.1:1", no_proxy = "127.0.0.1:1, 27.0.0.1, 0.0.1" })
  lu.assertEquals(err.code, "ECONNREFUSED")
end

function TestProxies:test_a_refused_tunnel()
  local cases = { [407] = status(407), [502] = status(502), none = "nonsense\r\n\r\n" }
  for code, bytes in pairs(cases) do
    local proxy <close> = scripted(function() return bytes end)
    local client <close> = http.client { proxy = "127.0.0.1:" .. proxy.port, auth = { "secret", "secret" } }
    local _, err = client:get "https://some.invalid/"
    lu.assertEquals({ err.kind, err.code, err.op }, { "io", "EPROXY", "connect" })
    lu.assertEquals(err.status, code ~= "none" and code or nil)
    lu.assertStrMatches(proxy.heads[1], "CONNECT some%.invalid:443 HTTP/1%.1\r\nHost: some%.invalid:443\r\n\r\n")
    lu.assertEquals(client:stats().busy, 0)
  end
end

function TestProxies:test_proxies_do_not_share_connections()
  local one <close> = scripted(function() return origin.answer "one" end)
  local two <close> = scripted(function() return origin.answer "two" end)
  local client <close> = http.client()
  for _ = 1, 2 do
    lu.assertEquals(assert(client:get("http://a.invalid", { proxy = "127.0.0.1:" .. one.port })).body, "one")
    lu.assertEquals(assert(client:get("http://a.invalid", { proxy = "127.0.0.1:" .. two.port })).body, "two")
  end
  lu.assertEquals(client:stats().opened, 2)
end

-- A proxy at PORT that answers for all, and a server that is asked directly; what became of each request.
local IN_ENVIRONMENT = [[
  local eddy, http, net = require "eddy", require "eddy.http", require "eddy.net"
  local listener <close> = assert(net.listen { port = %d })
  local proxy = eddy.background(function()
    for stream in listener:incoming() do
      local guard <close> = stream
      local line = stream:read_until "\r\n\r\n":match "^%%u+ [^ ]*"
      print(line)
      stream:write(line:find "^CONNECT" and "HTTP/1.1 403 No\r\n\r\n" or "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy")
    end
  end)
  local server <close> = assert(http.serve { handler = function() return "direct" end })
  local direct = "http://127.0.0.1:" .. server.port
  local function try(url, options)
    local res, err = http.get(url, options)
    print(res and res.body or err.code)
  end
  try(direct)
  try(direct, { proxy = false })
  try("http://some.invalid/a", { proxy = "environment" })
  try("https://other.invalid/b", { proxy = "environment" })
  try(direct, { proxy = "environment" })
  try("http://sub.excepted.invalid/", { proxy = "environment", timeout = 5 })
  try("http://any.invalid/", { proxy = "environment", no_proxy = "any.invalid" })
  proxy:cancel()
]]

local function in_environment(port, env)
  local all = { http_proxy = false, https_proxy = false, no_proxy = false, all_proxy = false, HTTP_PROXY = false,
    HTTPS_PROXY = false, NO_PROXY = false, ALL_PROXY = false, REQUEST_METHOD = false }
  for name, value in pairs(env) do all[name] = value end
  local result = process.eddy({ "-e", IN_ENVIRONMENT:format(port) }, { env = all })
  lu.assertEquals({ result.stderr, result.ok }, { "", true })
  return result.stdout
end

local DIRECT = "direct\ndirect\n"
local TUNNEL, NONE = "CONNECT other.invalid:443\nEPROXY\n", "ENOTFOUND\n"

function TestProxies:test_the_environment_only_when_asked()
  local port = origin.dead_port()
  local address = "http://127.0.0.1:" .. port
  local all = DIRECT .. "GET http://some.invalid/a\nproxy\n" .. TUNNEL .. "direct\n" .. NONE .. NONE
  local excepted = "127.0.0.1, .excepted.invalid"
  lu.assertEquals(in_environment(port, { http_proxy = address, https_proxy = address, no_proxy = excepted }), all)
  lu.assertEquals(in_environment(port, { HTTP_PROXY = address, HTTPS_PROXY = address, NO_PROXY = excepted }), all)
  lu.assertEquals(in_environment(port, { all_proxy = address, no_proxy = excepted }), all)
  lu.assertEquals(in_environment(port, { https_proxy = "127.0.0.1:" .. port, no_proxy = "excepted.invalid" }),
    DIRECT .. NONE .. TUNNEL .. "direct\n" .. NONE .. NONE)
  lu.assertEquals(in_environment(port, { http_proxy = address, https_proxy = address, no_proxy = "*" }),
    DIRECT .. NONE .. NONE .. "direct\n" .. NONE .. NONE)
end

--- Where a web server runs programs, HTTP_PROXY is what a peer sent in a header "Proxy".
function TestProxies:test_not_the_variable_that_a_peer_can_set()
  local port = origin.dead_port()
  local got = in_environment(port, { HTTP_PROXY = "http://127.0.0.1:" .. port, REQUEST_METHOD = "GET" })
  lu.assertEquals(got, DIRECT .. NONE .. NONE .. "direct\n" .. NONE .. NONE)
end

-- ---- Cookies -----------------------------------------------------------------------------------

local TestCookies = {}

function TestCookies:test_examples_of_the_rfc()
  local jar = http.cookies()
  local site = "http://www.example.com/"
  lu.assertTrue(jar:store(site, "SID=31d4d96e407aad42"))
  lu.assertEquals(jar:header(site), "SID=31d4d96e407aad42")
  lu.assertNil(jar:header "http://example.com/")
  lu.assertNil(jar:header "http://x.www.example.com/")
  lu.assertTrue(jar:store(site, "SID=2; Path=/; Domain=example.com"))
  lu.assertEquals(jar:header "http://a.example.com/x", "SID=2")
  lu.assertEquals(jar:header(site), "SID=31d4d96e407aad42; SID=2")
  lu.assertTrue(jar:store(site, "lang=en-US; Path=/deep; Expires=Wed, 09 Jun 2100 10:18:14 GMT"))
  lu.assertEquals(jar:header(site .. "deep/er"), "lang=en-US; SID=31d4d96e407aad42; SID=2")
  lu.assertNil(jar:header(site .. "deeper"):find "lang")
  lu.assertTrue(jar:store(site .. "deep/x", "lang=; Path=/deep; Expires=Sun, 06 Nov 1994 08:49:37 GMT"))
  lu.assertNil(jar:header(site .. "deep/er"):find "lang")
  jar:clear()
  lu.assertEquals(jar:list(), {})
end

function TestCookies:test_refused()
  local jar = http.cookies()
  for _, case in ipairs {
    { "http://www.example.com/", "a=1; Domain=other.com" }, { "http://www.example.com/", "a=1; Domain=x.www.example.com" },
    { "http://www.example.com/", "a=1; Domain=com" }, { "http://a.example.co.uk/", "a=1; Domain=co.uk" },
    { "http://www.example.com/", "a=1; Secure" }, { "http://www.example.com/", "=1" }, { "http://www.example.com/", "a" },
    { "http://1.2.3.4/", "a=1; Domain=3.4" }, { "https://www.example.com/", "__Secure-a=1" },
    { "https://www.example.com/", "__Host-a=1; Secure; Domain=www.example.com; Path=/" },
    { "http://www.example.com/", "a=b\1c" }, { "http://www.example.com/", "a=" .. ("x"):rep(5000) },
  } do
    lu.assertFalse(jar:store(case[1], case[2]), case[2])
  end
  lu.assertEquals(jar:list(), {})
end

function TestCookies:test_age_secure_and_limits()
  local jar = http.cookies()
  jar:store("https://a.example/", "s=1; Secure; HttpOnly; Max-Age=100")
  lu.assertNil(jar:header "http://a.example/")
  lu.assertEquals(jar:header "https://a.example/", "s=1")
  lu.assertFalse(jar:store("http://a.example/", "s=evil"))
  lu.assertTrue(jar:list()[1].http_only)
  jar:store("https://a.example/", "s=1; Max-Age=0")
  lu.assertNil(jar:header "https://a.example/")
  for i = 1, 60 do jar:store("http://a.example/", "c" .. i .. "=1") end
  lu.assertEquals(#jar:list(), 50)
end

function TestCookies:test_a_client_keeps_them()
  local server <close> = scripted(function(n)
    return n == 1 and status(302, "Location: /\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\n") or status(200)
  end)
  local client <close> = http.client { cookies = true }
  assert(client:get(server.url))
  lu.assertStrContains(server.heads[2], "Cookie: a=1; b=2\r\n")
  assert(client:get(server.url, { cookies = false }))
  lu.assertNil(server.heads[3]:find "Cookie")
  assert(http.get(server.url, { cookies = { z = 1, y = "2" } }))
  lu.assertStrContains(server.heads[4], "Cookie: y=2; z=1\r\n")
  local jar = http.cookies()
  jar:store(server.url, "k=v")
  assert(http.get(server.url, { cookies = jar, headers = { Cookie = "own=1" } }))
  lu.assertStrContains(server.heads[5], "Cookie: own=1; k=v\r\n")
end

-- ---- Lookup ------------------------------------------------------------------------------------

local TestPhases = {}

function TestPhases:test_the_time_of_a_connection()
  local server <close> = scripted(function() return status(200) end)
  local timings = assert(http.get(server.url)).timings
  lu.assertTrue(timings.dns <= timings.connect and timings.connect <= timings.first_byte and timings.first_byte <= timings.total)
end

function TestPhases:test_connect_timeout_in_the_proxy()
  local proxy <close> = origin.hang ""
  local _, err = http.get("https://some.invalid/", { proxy = "127.0.0.1:" .. proxy.port, connect_timeout = 0.03 })
  lu.assertEquals({ err.kind, err.code, err.op }, { "timeout", "ETIMEDOUT", "connect" })
end

function TestPhases:test_a_lookup_that_takes_too_long()
  local _, err = http.get("http://slow-lookup.invalid/", { timeout = 0 })
  lu.assertEquals(err.kind, "timeout")
  _, err = http.get("http://slow-lookup.invalid/", { connect_timeout = 0 })
  lu.assertEquals({ err.kind, err.op }, { "timeout", "resolve" })
end

-- ---- Crossing ----------------------------------------------------------------------------------

local TestModel = {}

function TestModel:test_answers_are_never_crossed()
  lu.assertTrue(model(600) > 0)
end

return {
  TestRedirects = TestRedirects, TestRetries = TestRetries, TestProxies = TestProxies, TestCookies = TestCookies,
  TestPhases = TestPhases, TestModel = TestModel,
}
