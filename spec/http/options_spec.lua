-- SPDX-License-Identifier: MIT
-- Every option: wrong types raise and name it; texts that must not be sent are `nil, err` before a
-- connection is made; what is right is sent as it should be.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local origin = require "spec.http.origin"

local URL = "http://127.0.0.1:1/"

-- ---- Wrong types -------------------------------------------------------------------------------

local TestTypes = {}

local WRONG = {
  headers = { 1, "x", true }, query = { 1, "x" }, body = { 1, true, {}, }, form = { 1, "x" }, multipart = { "x", 5 },
  timeout = { "1", true, 0 / 0 }, connect_timeout = { "1", {}, 0 / 0 }, idle_timeout = { "1", {}, 0 / 0 },
  redirects = { "1", -1, 1.5, { max = "1" }, { max = -1 }, { most = 1 }, { downgrade = 1 } },
  auth = { "x", 1, {}, { 1, 2 }, { "a", "b", x = 1 }, { bearer = 1 }, { "a", bearer = "b" } },
  cookies = { "x", 1, { 1 }, { a = true } }, proxy = { 1, {}, true }, no_proxy = { 1, { 1 } }, verify = { "x", 1 },
  ca = { 1, {} }, cert = { 1, true }, key = { 1, true }, decode = { "gzip", 1 }, http_version = { 1.1, true },
  max_body = { "1", {}, 0 / 0, -1 }, stream = { 1, "x" }, unix = { 1, true }, resolve = { "x", { a = 1 } },
  retry = { "1", -1, 1.5, { attempts = "1" }, { times = 1 }, { statuses = 503 }, { statuses = { "503" } } },
  length = { "1", -1, 0.5 }, max_ratio = { "1", 0.5, 0 / 0 },
}

function TestTypes:test_each_wrong_type_raises_with_the_name()
  for name, values in pairs(WRONG) do
    for i, value in ipairs(values) do
      local ok, message = pcall(http.post, URL, { [name] = value })
      lu.assertFalse(ok, name .. i)
      lu.assertStrContains(message, name)
      lu.assertStrContains(message, "options_spec.lua:")
    end
  end
end

function TestTypes:test_of_clients()
  local wrong = { base_url = 1, max = "1", max_per_host = {}, keep_alive = "x", cookies = "x", timeout = "x" }
  for name, value in pairs(wrong) do
    lu.assertErrorMsgContains(name, http.client, { [name] = value })
  end
  lu.assertErrorMsgContains("unknown option 'body'", http.client, { body = "x" })
  lu.assertErrorMsgContains("base_url", http.client, { base_url = "nonsense" })
  lu.assertErrorMsgContains("HTTP version", http.client, { http_version = "3" })
  lu.assertErrorMsgContains("proxy", http.client, { proxy = "socks5://x" })
end

function TestTypes:test_two_bodies_raise()
  local bodies = { body = "", json = {}, form = {}, multipart = {} }
  for a in pairs(bodies) do
    for b in pairs(bodies) do
      if a ~= b then
        lu.assertErrorMsgContains("only one of", http.post, URL, { [a] = bodies[a], [b] = bodies[b] })
      end
    end
  end
  lu.assertErrorMsgContains("'length' without", http.post, URL, { length = 1 })
end

-- ---- Injection ---------------------------------------------------------------------------------

local TestInjection = {}

local BYTES = {}
for byte = 0, 31 do BYTES[#BYTES + 1] = string.char(byte) end
BYTES[#BYTES + 1] = "\127"

-- Where a byte is put, and for which bytes that is fine.
local PLACES = {
  method = { function(byte, url) return http.request("GE" .. byte .. "T", url) end },
  path = { function(byte, url) return http.get(url .. "a" .. byte .. "b") end },
  host = { function(byte) return http.get("http://a" .. byte .. "b/") end },
  userinfo = { function(byte, url) return http.get((url:gsub("//", "//a" .. byte .. ":b@"))) end },
  header_name = { function(byte, url) return http.get(url, { headers = { ["X" .. byte .. "Y"] = "1" } }) end },
  header_value = { function(byte, url) return http.get(url, { headers = { X = "a" .. byte .. "b" } }) end, "\t" },
  header_list = { function(byte, url) return http.get(url, { headers = { X = { "a", "b" .. byte } } }) end, "\t" },
  header_host = { function(byte, url) return http.get(url, { headers = { Host = "a" .. byte .. "b" } }) end },
  cookie_name = { function(byte, url) return http.get(url, { cookies = { ["a" .. byte] = "1" } }) end },
  cookie_value = { function(byte, url) return http.get(url, { cookies = { a = "1" .. byte .. "2" } }) end },
  user = { function(byte, url) return http.get(url, { auth = { "a" .. byte .. "b", "" } }) end },
  password = { function(byte, url) return http.get(url, { auth = { "a", "a" .. byte .. "b" } }) end },
  bearer = { function(byte, url) return http.get(url, { auth = { bearer = "a" .. byte .. "b" } }) end },
  proxy = { function(byte, url) return http.get(url, { proxy = "http://a" .. byte .. "b:1" }) end },
  part_type = { function(byte, url)
    return http.post(url, { multipart = { a = { body = "", content_type = "a" .. byte .. "b" } } })
  end },
  resolve = { function(byte, url) return http.get(url, { resolve = { ["127.0.0.1"] = "a" .. byte } }) end },
  version = { function(byte, url) return http.get(url, { http_version = "1.1" .. byte }) end },
}

function TestInjection:test_every_control_byte_in_every_place()
  local server <close> = origin.raw(function() end)
  for place, case in pairs(PLACES) do
    for _, byte in ipairs(BYTES) do
      if byte ~= case[2] then
        local res, err = case[1](byte, server.url)
        local label = place .. " " .. byte:byte()
        lu.assertNil(res, label)
        lu.assertEquals({ err.kind, err.code }, { "protocol", "EINVAL" }, label)
        lu.assertNil(tostring(err):find "[%c]", label)
      end
    end
  end
  eddy.sleep(0.01)
  lu.assertEquals(server.connections, 0)
end

function TestInjection:test_wrong_strings_before_anything_is_sent()
  local server <close> = origin.raw(function() end)
  local cases = {
    { http_version = "2" }, { http_version = "" }, { proxy = "https://x" }, { proxy = "socks5://x" }, { proxy = "" },
    { unix = "" }, { unix = "a\0b" }, { ca = "" }, { auth = { "a:b", "c" } }, { auth = { bearer = "" } },
    { cookies = { ["a b"] = "x" } }, { cookies = { a = "x;y" } }, { resolve = { x = "" } },
    { body = "abc", length = 4 }, { body = "abc", headers = { ["Content-Length"] = 4 } },
    { headers = { Host = "a b" } }, { headers = { Host = { "a", "b" } } }, { headers = { Host = "a/b" } },
  }
  for i, options in ipairs(cases) do
    local res, err = http.post(server.url, options)
    lu.assertNil(res, i)
    lu.assertEquals(err.code, "EINVAL", i)
  end
  eddy.sleep(0.01)
  lu.assertEquals(server.connections, 0)
end

-- ---- What is sent ------------------------------------------------------------------------------

local TestSent = {}

--- Heads and bodies of one request each; the answer says `reply`.
local function echo()
  return assert(http.serve { handler = function(req)
    return { status = 200, headers = { ["X-Length"] = req.headers["content-length"] or "none" },
      body = table.concat({ req.method, req.target, req.headers.authorization or "", req.headers.cookie or "",
        req.headers["content-type"] or "", req.body }, "|") }
  end })
end

local function url_of(server) return ("http://127.0.0.1:%d/"):format(server.port) end

function TestSent:test_credentials()
  local server <close> = echo()
  local url = url_of(server)
  local function sent(options, address) return assert(http.get(address or url, options)).body:match("|/[^|]*|([^|]*)") end
  lu.assertEquals(sent { auth = { "Aladdin", "open sesame" } }, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
  lu.assertEquals(sent { auth = { "a" } }, "Basic YTo=")
  lu.assertEquals(sent { auth = { bearer = "ab.c-d=" } }, "Bearer ab.c-d=")
  local address = url:gsub("//", "//us%%65r:p%%40ss@")
  lu.assertEquals(sent(nil, address), "Basic dXNlcjpwQHNz")
  lu.assertEquals(sent({ auth = { "x", "y" } }, address), "Basic eDp5")
  local res = assert(http.get(address))
  lu.assertEquals(res.url, url)
  local client <close> = http.client { auth = { bearer = "token" } }
  lu.assertStrContains(assert(client:get(url)).body, "Bearer token")
  local _, err = http.get("http://user:secret@127.0.0.1:" .. origin.dead_port())
  lu.assertNil(tostring(err):find "secret")
end

function TestSent:test_bodies()
  local server <close> = echo()
  local url = url_of(server)
  local function pieces(...)
    local list, at = { ... }, 0
    return function() at = at + 1 return list[at] end
  end
  local function body_of(options) return assert(http.put(url, options)).body:match("[^|]*$") end
  lu.assertEquals(body_of { body = pieces("one", "", "two") }, "onetwo")
  lu.assertEquals(body_of { body = pieces "sized", length = 5 }, "sized")
  lu.assertEquals(body_of { body = pieces("si", "zed"), headers = { ["Content-Length"] = 5 } }, "sized")
  local reader = { at = 0, read = function(reader, n)
    reader.at = reader.at + 1
    lu.assertTrue(n > 0)
    return reader.at <= 3 and "x" or nil
  end }
  lu.assertEquals(body_of { body = reader }, "xxx")
  lu.assertEquals(body_of { body = pieces() }, "")
  lu.assertEquals(assert(http.put(url, { body = pieces "abc", length = 3 })).headers["x-length"], "3")
  lu.assertEquals(body_of { json = { b = 1, a = "x" } }, '{"a":"x","b":1}')
  lu.assertEquals(body_of { form = { b = "1 2", a = { "x", "&" } } }, "a=x&a=%26&b=1+2")
end

function TestSent:test_a_body_of_another_length_than_announced()
  for _, text in ipairs { "abc", "abcdefgh" } do
    local server <close> = origin.hang ""
    local done = false
    local client <close> = http.client()
    local res, err = client:post(server.url, { length = 5, timeout = 5, body = function()
      if done then return nil end
      done = true
      return text
    end })
    lu.assertNil(res)
    lu.assertEquals(err.code, "EINVAL")
    lu.assertEquals(client:stats().busy + client:stats().idle, 0)
  end
end

function TestSent:test_a_failing_source()
  local server <close> = origin.hang ""
  local client <close> = http.client()
  local mine = eddy.error { kind = "io", code = "EMINE" }
  local ok, raised = pcall(client.post, client, server.url, { body = function() error(mine, 0) end })
  lu.assertFalse(ok)
  lu.assertIs(raised, mine)
  local res, err = client:post(server.url, { body = { read = function() return nil, mine end } })
  lu.assertNil(res)
  lu.assertIs(err, mine)
  lu.assertEquals(client:stats().busy + client:stats().idle, 0)
end

function TestSent:test_an_answer_that_comes_before_the_upload_ended_wins()
  local server <close> = origin.raw(function(stream)
    origin.read_head(stream)
    stream:write(origin.answer "enough")
    while stream:read() do end   -- luacheck: ignore 542
  end)
  local client <close> = http.client()
  local res = assert(client:post(server.url, { timeout = 5, body = function()
    eddy.sleep(0.005)
    return "more"
  end }))
  lu.assertEquals(res.body, "enough")
  lu.assertEquals(client:stats().idle, 0)
end

function TestSent:test_multipart()
  local server <close> = echo()
  local function at(options)
    local text = assert(http.post(url_of(server), options)).body
    local kind, body = text:match("|(multipart/form%-data; boundary=[^|]*)|(.*)$")
    return body:gsub((kind:match("boundary=(.*)"):gsub("%-", "%%-")), "B")
  end
  lu.assertEquals((at { multipart = { b = "2", a = { filename = 'x".txt', body = "1" } } }),
    '--B\r\nContent-Disposition: form-data; name="a"; filename="x%22.txt"\r\n'
    .. 'Content-Type: application/octet-stream\r\n\r\n1\r\n'
    .. '--B\r\nContent-Disposition: form-data; name="b"\r\n\r\n2\r\n--B--\r\n')
  local n = 0
  lu.assertStrContains((at { multipart = { { name = "f", content_type = "text/x", body = function()
    n = n + 1
    return n <= 2 and "piece" .. n or nil
  end } } }), "text/x\r\n\r\npiece1piece2\r\n--B--")
  lu.assertErrorMsgContains("without a name", http.post, URL, { multipart = { { body = "" } } })
  lu.assertErrorMsgContains("multipart", http.post, URL, { multipart = { a = { body = true } } })
end

function TestSent:test_resolve_and_unix()
  local server <close> = echo()
  local res = assert(http.get(("http://some.invalid:%d/x"):format(server.port), { resolve = { ["some.invalid"] = "127.0.0.1" } }))
  lu.assertStrContains(res.body, "/x")
  lu.assertNotNil(res.timings.dns)
  local path = os.tmpname()
  os.remove(path)
  local listener <close> = assert(require "eddy.net".listen { path = path })
  local task = eddy.spawn(function()
    local stream <close> = listener:accept()
    origin.read_head(stream)
    stream:write(origin.answer "by path")
  end)
  lu.assertEquals(assert(http.get("http://some.invalid/", { unix = path })).body, "by path")
  task:await()
  os.remove(path)
end

function TestSent:test_trailers()
  local bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 5\r\nx-sum: 6\r\n\r\n"
  local server <close> = origin.keep(bytes)
  local client <close> = http.client()
  local res = assert(client:get(server.url))
  lu.assertEquals({ res.body, res.trailers["X-SUM"], res.headers["x-sum"] }, { "abc", "5" })
  lu.assertEquals(res.trailers:all "x-sum", { "5", "6" })
  local streamed = assert(client:get(server.url, { stream = true }))
  lu.assertNil(streamed.trailers)
  lu.assertEquals(streamed:read_all(), "abc")
  lu.assertEquals(streamed.trailers:all "x-sum", { "5", "6" })
  lu.assertEquals(client:stats().idle, 1)
  lu.assertEquals(client:stats().opened, 1)
end

function TestSent:test_trailers_in_any_pieces()
  local bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 5\r\nX-B: 6\r\n\r\n"
  for _, size in ipairs { 1, 3, 11 } do
    local server <close> = origin.raw(function(stream)
      origin.read_head(stream)
      for at = 1, #bytes, size do
        stream:write(bytes:sub(at, at + size - 1))
        eddy.sleep(0.0002)
      end
    end)
    local res = assert(http.get(server.url, { stream = true }))
    lu.assertEquals(res:read_all(), "abc")
    lu.assertEquals({ res.trailers["x-sum"], res.trailers["x-b"] }, { "5", "6" })
  end
end

-- ---- Codings -----------------------------------------------------------------------------------

local TestCoded = {}

local function gzip(text)
  local encoder <close> = require "eddy.core".coding.gzip()
  return encoder:feed(text) .. encoder:finish()
end

function TestCoded:test_decoded_whole_and_in_pieces()
  local text = ("some text "):rep(30000)
  local server <close> = origin.keep(origin.answer(gzip(text), "content-ENCODING: gzip\r\n"))
  local client <close> = http.client()
  local res = assert(client:get(server.url))
  lu.assertTrue(res.body == text)
  lu.assertNil(res.headers["content-encoding"])
  lu.assertNil(res.headers["content-length"])
  res = assert(client:get(server.url, { stream = true }))
  local first = res:read(5)
  lu.assertEquals(first, "some ")
  lu.assertTrue(first .. res:read_all() == text)
  res = assert(client:get(server.url, { decode = false }))
  lu.assertEquals(res.headers["content-encoding"], "gzip")
  lu.assertTrue(res.body == gzip(text))
  lu.assertEquals(client:stats().opened, 1)
end

function TestCoded:test_a_range_is_asked_for_uncoded()
  local server <close> = assert(http.serve { handler = function(req) return req.headers["accept-encoding"] or "none" end })
  local url = url_of(server)
  lu.assertStrContains(assert(http.get(url)).body, "gzip")
  local function sent(fields, more)
    return assert(http.get(url, { headers = fields, decode = more })).body
  end
  lu.assertEquals(sent { Range = "bytes=0-4" }, "identity")
  lu.assertEquals(sent { range = "bytes=0-4", ["accept-encoding"] = "gzip" }, "gzip")
  lu.assertEquals(sent({ Range = "bytes=0-4" }, false), "none")
  local client <close> = http.client { headers = { Range = "bytes=0-4" } }
  lu.assertEquals(assert(client:get(url)).body, "identity")
end

function TestCoded:test_failures()
  local good = gzip(("x"):rep(100))
  local cases = {
    { good:sub(1, -4), "gzip", "EBADENCODING", "protocol" }, { "nonsense", "gzip", "EBADENCODING", "protocol" },
    { good .. "junk", "gzip", "EBADENCODING", "protocol" }, { good, "gzip", "EBODY", "limit", 50 },
    { gzip(("\0"):rep(4 << 20)), "gzip", "ERATIO", "limit" }, { gzip(good), "gzip, deflate", "EBADENCODING", "protocol" },
  }
  for i, case in ipairs(cases) do
    local server <close> = origin.keep(origin.answer(case[1], "Content-Encoding: " .. case[2] .. "\r\n"))
    local client <close> = http.client()
    local res, err = client:get(server.url, { max_body = case[5] })
    lu.assertNil(res, i)
    lu.assertEquals({ err.code, err.kind }, { case[3], case[4] }, i)
    res = assert(client:get(server.url, { stream = true, max_body = case[5] }))
    local _, problem = res:read_all()
    lu.assertEquals(problem.code, case[3], i)
    lu.assertEquals({ res:read() }, { nil, problem })
  end
end

function TestCoded:test_two_codings_and_unknown_ones()
  local server <close> = origin.keep(origin.answer(gzip(gzip "twice"), "Content-Encoding: gzip, gzip\r\n"))
  lu.assertEquals(assert(http.get(server.url)).body, "twice")
  local other <close> = origin.keep(origin.answer("as it is", "Content-Encoding: rot13\r\n"))
  local res = assert(http.get(other.url))
  lu.assertEquals({ res.body, res.headers["content-encoding"] }, { "as it is", "rot13" })
end

-- ---- Time --------------------------------------------------------------------------------------

local TestTime = {}

function TestTime:test_idle_timeout_in_each_phase()
  local cases = { head = "", body = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc" }
  for phase, bytes in pairs(cases) do
    local server <close> = origin.hang(bytes)
    local client <close> = http.client()
    local res, err = client:get(server.url, { idle_timeout = 0.03 })
    lu.assertNil(res)
    lu.assertEquals({ err.kind, err.code, err.op }, { "timeout", "ETIMEDOUT", phase })
    lu.assertEquals(client:stats().busy + client:stats().idle, 0)
  end
end

--- A peer that reads a little and then nothing more, told by a whole body and by a source.
function TestTime:test_idle_timeout_in_writing()
  local big = ("x"):rep(30000000)
  local function pieces() return ("x"):rep(1000000) end
  for _, body in ipairs { big, pieces, { read = pieces } } do
    local server <close> = origin.raw(function(stream)
      origin.read_head(stream)
      eddy.sleep(1000)
    end)
    local client <close> = http.client()
    local began = eddy.now()
    local res, err = client:post(server.url, { body = body, idle_timeout = 0.05 })
    lu.assertNil(res)
    lu.assertEquals({ err.kind, err.code, err.op, err.target }, { "timeout", "ETIMEDOUT", "write", server.url })
    lu.assertTrue(eddy.now() - began < 5)
    lu.assertEquals(client:stats().busy + client:stats().idle, 0)
  end
end

--- What waits for a slow source does not wait for the network; behind it the time counts anew.
function TestTime:test_idle_timeout_leaves_a_slow_source_alone()
  local server <close> = origin.raw(function(stream)
    origin.read_head(stream)
    local body = stream:read_until "0\r\n\r\n"
    eddy.sleep(0.05)
    stream:write(origin.answer(tostring(#body)))
  end)
  local n = 0
  local res = assert(http.post(server.url, { idle_timeout = 0.1, body = function()
    n = n + 1
    if n == 4 then return nil end
    eddy.sleep(0.15)
    return "piece"
  end }))
  lu.assertEquals(res.body, tostring(3 * #"5\r\npiece\r\n" + #"0\r\n\r\n"))
  local silent <close> = origin.hang ""
  local given
  local _, err = http.post(silent.url, { idle_timeout = 0.05, body = function()
    if given then return nil end
    given = true
    eddy.sleep(0.1)
    return "all"
  end })
  lu.assertEquals({ err.code, err.op }, { "ETIMEDOUT", "head" })
end

--- A peer that takes the body slowly is not silent.
function TestTime:test_idle_timeout_leaves_a_slow_reader_alone()
  local size = 8000000
  local server <close> = origin.raw(function(stream)
    origin.read_head(stream)
    local got = 0
    while got < size do
      got = got + #stream:read(400000)
      if got % 3 == 0 then eddy.sleep(0.01) end
    end
    stream:write(origin.answer "taken")
  end)
  lu.assertEquals(assert(http.post(server.url, { body = ("x"):rep(size), idle_timeout = 0.5 })).body, "taken")
end

function TestTime:test_idle_timeout_leaves_the_slow_alone()
  local server <close> = origin.raw(function(stream)
    origin.read_head(stream)
    stream:write "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    for _ = 1, 6 do
      eddy.sleep(0.02)
      stream:write "x"
    end
  end)
  lu.assertEquals(assert(http.get(server.url, { idle_timeout = 0.1 })).body, "xxxxxx")
end

function TestTime:test_idle_timeout_in_pieces()
  local server <close> = origin.hang "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
  local res = assert(http.get(server.url, { idle_timeout = 0.03, stream = true }))
  lu.assertEquals(res:read(), "abc")
  eddy.sleep(0.06)   -- our own slowness does not count
  local _, err = res:read()
  lu.assertEquals({ err.kind, err.op }, { "timeout", "body" })
end

return {
  TestTypes = TestTypes, TestInjection = TestInjection, TestSent = TestSent, TestCoded = TestCoded, TestTime = TestTime,
}
