-- SPDX-License-Identifier: MIT
-- gzip by the server: who gets it, for which answers, what the headers say, whole and in pieces.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local compress = require "eddy.http.compress"
local serving = require "spec.support.serving"
local coding = require "eddy.core".coding

local TEXT = ("a line of some text\n"):rep(500)

--- `n` lines that do not all repeat one another: a hundredfold gain is what a client refuses.
local function lines_of(n)
  local lines = {}
  for i = 1, n do lines[i] = ("line %d of a text, %x\n"):format(i, i * 2654435761 % 4294967296) end
  return table.concat(lines)
end

local serve, url_of = serving.serve, serving.url_of

--- What comes over the wire: nothing is decoded.
local function ask(server, path, fields, method)
  fields = fields or {}
  if fields["Accept-Encoding"] == nil then fields["Accept-Encoding"] = "gzip" end
  return assert(http.request(method or "GET", url_of(server, path), { decode = false, headers = fields }))
end

local function gunzip(bytes)
  local decoder <close> = coding.decoder "gzip"
  local text = assert(decoder:feed(bytes))
  assert(decoder:finish())
  return text
end

local function is_coded(res) return res.headers["content-encoding"] == "gzip" end

-- ---- Negotiation -------------------------------------------------------------------------------

local TestWanted = {}

function TestWanted:test_weights()
  local wanted = {
    "gzip", "GZIP", "x-gzip", "deflate, gzip", "gzip;q=1", "gzip ; Q=0.001", "gzip;q=0.5, identity;q=0.5", "*", "*;q=0.1",
    "br, *;q=0.2", "identity;q=0.1, gzip;q=0.2", "gzip;q=1.000", "identity;q=0, gzip", "gzip;q=0, x-gzip",
  }
  local not_wanted = {
    "", "identity", "br", "gzip;q=0", "gzip;q=0.000", "*;q=0", "gzip;q=0, *", "identity, gzip;q=0.9", "gzip;q=2", "gzip;q=-1",
    "gzip;q=0.5555", "gzip;q=", "gzip;level=1", "gzipped", "gzip/1", "identity;q=0.5, *;q=0.4", ",,;;,", "gzip;q=.5",
  }
  for _, field in ipairs(wanted) do lu.assertTrue(compress.is_wanted(field), field) end
  for _, field in ipairs(not_wanted) do lu.assertFalse(compress.is_wanted(field), field) end
  lu.assertFalse(compress.is_wanted(nil))
end

function TestWanted:test_who_gets_it()
  local server <close> = serve(function() return TEXT end)
  local coded = ask(server)
  lu.assertTrue(is_coded(coded))
  lu.assertEquals({ gunzip(coded.body) == TEXT, tonumber(coded.headers["content-length"]) }, { true, #coded.body })
  lu.assertEquals(coded.headers.vary, "Accept-Encoding")
  for _, field in ipairs { "identity", "gzip;q=0", "br" } do
    local plain = ask(server, "/", { ["Accept-Encoding"] = field })
    lu.assertEquals({ plain.body == TEXT, plain.headers["content-encoding"], plain.headers.vary }, { true, nil, "Accept-Encoding" })
  end
  lu.assertNil(ask(server, "/", { ["Accept-Encoding"] = false }).headers["content-encoding"])
  lu.assertTrue(is_coded(ask(server, "/", { ["Accept-Encoding"] = { "br", "gzip" } })))
  lu.assertEquals(assert(http.get(url_of(server))).body, TEXT)   -- our own client decodes it
end

function TestWanted:test_old_peers()
  local server <close> = serve(function() return TEXT end)
  local stream <close> = serving.connect(server)
  stream:write "GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
  local got = stream:read_all()
  lu.assertStrContains(got, "Vary: Accept-Encoding\r\n")
  lu.assertStrContains(got, "\r\n\r\n" .. TEXT)
end

-- ---- Which answers -----------------------------------------------------------------------------

local TestAnswers = {}

local function typed(kind, more)
  local fields = more or {}
  fields["Content-Type"] = kind
  return function() return 200, fields, TEXT end
end

local YES = {
  html = typed "text/html; charset=utf-8", json = typed "application/json", problem = typed "application/problem+json",
  svg = typed "image/svg+xml", upper = typed "TEXT/Plain", wasm = typed "application/wasm", javascript = typed "text/javascript",
  table = function() return { json = { text = TEXT } } end, status = function() return 404, { ["content-type"] = "text/plain" }, TEXT end,
  redirect = function() return 302, { Location = "/x", ["Content-Type"] = "text/html" }, TEXT end,
}
local NO = {
  small = function() return ("x"):rep(1023) end, image = typed "image/png", unknown = function() return 200, nil, TEXT end,
  zip = typed "application/zip", events = typed "text/event-stream", coded = typed("text/plain", { ["content-encoding"] = "br" }),
  transform = typed("text/plain", { ["Cache-Control"] = "public, no-transform" }),
  digest = typed("text/plain", { ["Content-Digest"] = "sha-256=:AAAA:" }),
  part = function() return 206, { ["Content-Type"] = "text/plain", ["Content-Range"] = "bytes 0-9999/20000" }, TEXT end,
  asked = function() return { headers = { ["Content-Type"] = "text/plain" }, body = TEXT, compress = false } end,
  length = function(req)
    local res <close> = req:respond { length = #TEXT, headers = { ["Content-Type"] = "text/plain" } }
    res:write(TEXT)
  end,
  pieces = function(req)
    local res <close> = req:respond { compress = false, headers = { ["Content-Type"] = "text/plain" } }
    res:write(TEXT)
  end,
}

function TestAnswers:test_which()
  local server <close>, reports = serve(function(req)
    local name = req.path:sub(2)
    return (YES[name] or NO[name])(req)
  end)
  for name in pairs(YES) do
    local client <close> = http.client { redirects = 0 }
    local res = assert(client:get(url_of(server, "/" .. name), { decode = false, headers = { ["Accept-Encoding"] = "gzip" } }))
    lu.assertEquals({ name, res.headers["content-encoding"], res.headers.vary }, { name, "gzip", "Accept-Encoding" })
    lu.assertStrContains(gunzip(res.body), "some text")
  end
  for name in pairs(NO) do
    local res = ask(server, "/" .. name)
    lu.assertEquals({ name, is_coded(res), res.headers.vary }, { name, false, nil })
    lu.assertTrue(#res.body >= 1000)
  end
  lu.assertEquals(reports, {})
end

function TestAnswers:test_what_does_not_become_smaller()
  local noise = {}
  for i = 1, 4000 do noise[i] = string.char(math.random(0, 255)) end
  noise = table.concat(noise)
  local server <close> = serve(function() return 200, { ["Content-Type"] = "text/plain", ETag = '"a"' }, noise end)
  local res = ask(server)
  lu.assertEquals({ res.body == noise, res.headers["content-encoding"], res.headers.etag, res.headers.vary },
    { true, nil, '"a"', "Accept-Encoding" })
end

function TestAnswers:test_vary_and_etag_of_the_handler()
  local cases = {
    { { Vary = "Cookie", ETag = '"a"' }, "Cookie, Accept-Encoding", 'W/"a"' },
    { { vary = "accept-encoding, Cookie", etag = 'W/"a"' }, "accept-encoding, Cookie", 'W/"a"' },
    { { Vary = "*" }, "*" }, { { Vary = { "Cookie", "Origin" } }, "Cookie, Origin, Accept-Encoding" },
  }
  local server <close> = serve(function(req) return typed("text/plain", cases[tonumber(req.path:sub(2))][1])() end)
  for i, case in ipairs(cases) do
    local res = ask(server, "/" .. i)
    lu.assertEquals({ is_coded(res), res.headers.vary, res.headers.etag, #res.headers:all "vary" }, { true, case[2], case[3], 1 })
  end
end

function TestAnswers:test_head_says_what_get_would()
  local server <close> = serve(function(req)
    if req.path == "/whole" then return TEXT end
    return 200, { ["Content-Type"] = "text/plain" }, coroutine.wrap(function() coroutine.yield(TEXT) end)
  end)
  for _, path in ipairs { "/whole", "/pieces" } do
    local get, head = ask(server, path), ask(server, path, nil, "HEAD")
    lu.assertTrue(is_coded(get) and is_coded(head))
    for _, name in ipairs { "content-length", "transfer-encoding", "vary" } do lu.assertEquals(head.headers[name], get.headers[name]) end
    lu.assertEquals(head.body, "")
  end
end

function TestAnswers:test_options()
  local off <close> = serve(function() return TEXT end, { compress = false })
  local res = ask(off)
  lu.assertEquals({ res.body == TEXT, res.headers.vary }, { true })
  local own <close> = serve(function(req) return 200, { ["Content-Type"] = req.query }, ("x"):rep(100) end,
    { compress = { level = 9, min_size = 100, types = { "image/*", "*+x", "text/event-stream" } } })
  for kind, wanted in pairs { ["image/png"] = true, ["a/b+x"] = true, ["text/event-stream"] = true, ["text/plain"] = false } do
    lu.assertEquals(is_coded(ask(own, "/?" .. kind)), wanted, kind)
  end
  for text, option in pairs {
    ["compress: boolean or table"] = 5, ["unknown field 'x'"] = { x = 1 }, ["compress.level: 1 to 9"] = { level = 10 },
    ["compress.min_size"] = { min_size = "1" }, ["compress.types[1]"] = { types = { 5 } },
  } do
    lu.assertErrorMsgContains(text, http.serve, { handler = print, compress = option })
  end
end

-- ---- In pieces ---------------------------------------------------------------------------------

local TestPieces = {}

--- Each piece can be read when it was written: the handler waits between them.
function TestPieces:test_each_piece_can_be_read_at_once()
  local go = eddy.queue()
  local server <close> = serve(function(req)
    local res <close> = req:respond { headers = { ["Content-Type"] = "text/plain" } }
    for n = 1, 3 do
      res:write("piece ", n, "\n")
      go:get()
    end
  end)
  local client <close> = http.client()
  local res <close> = assert(client:get(url_of(server), { stream = true }))
  for n = 1, 3 do
    lu.assertEquals(res:read(), ("piece %d\n"):format(n))
    go:put(n)
  end
  lu.assertNil(res:read())
  lu.assertEquals(client:stats().idle, 1)
end

function TestPieces:test_large_ones_and_the_log()
  local big, lines = lines_of(50000), {}
  local server <close> = serve(function(req)
    if req.path == "/iterator" then
      local n = 0
      return 200, { ["Content-Type"] = "text/plain" }, function()
        n = n + 1
        return n <= 4 and big:sub(n * 300000 - 299999, n < 4 and n * 300000 or -1) or nil
      end
    end
    return big
  end, { log = function(_, status, bytes) lines[#lines + 1] = { status, bytes } end })
  for _, path in ipairs { "/iterator", "/whole" } do
    local res = ask(server, path)
    lu.assertTrue(#res.body < #big / 2)
    lu.assertTrue(gunzip(res.body) == big)
    lu.assertEquals(table.remove(lines), { 200, #res.body })
  end
end

function TestPieces:test_an_error_cuts_it()
  local server <close>, reports = serve(function()
    return 200, { ["Content-Type"] = "text/plain" }, coroutine.wrap(function()
      coroutine.yield(TEXT)
      error "broken"
    end)
  end)
  local res, err = http.get(url_of(server))
  lu.assertNil(res)
  lu.assertEquals({ err.kind, err.code, #reports }, { "io", "EOF", 1 })
end

function TestPieces:test_the_peer_leaves()
  local ended
  local server <close>, reports = serve(function(req)
    local res <close> = req:respond { headers = { ["Content-Type"] = "text/plain" } }
    local _ <close> = setmetatable({}, { __close = function(_, err) ended = err end })
    while true do
      if not res:write(TEXT) then return end
      eddy.sleep(0.001)
    end
  end)
  local res <close> = assert(http.get(url_of(server), { stream = true }))
  res:read()
  res:close()
  for _ = 1, 200 do
    if ended then break end
    eddy.sleep(0.005)
  end
  lu.assertEquals({ ended.kind, #reports, server:stats().busy }, { "cancelled", 0, 0 })
end

--- Coding a large body lets others have their turn.
function TestPieces:test_others_go_on()
  local server <close> = serve(function(req) return req.path == "/big" and ("some text "):rep(2000000) or "small" end)
  local done, most = false, 0
  eddy.group(function(g)
    g:spawn(function()
      assert(ask(server, "/big"))
      done = true
    end)
    g:spawn(function()
      while not done do
        local began = eddy.now()
        assert(http.get(url_of(server, "/small")))
        most = math.max(most, eddy.now() - began)
      end
    end)
  end)
  lu.assertTrue(most < 1, most)
end

-- ---- Files -------------------------------------------------------------------------------------

local TestFiles = {}

local function with_file(name, content, fn)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
  local _ <close> = setmetatable({}, { __close = function() os.execute("rm -r " .. folder) end })
  local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(content):flush()
  local server <close>, reports = serve(http.files(folder))
  fn(server)
  lu.assertEquals(reports, {})
end

function TestFiles:test_headers_and_conditions()
  with_file("a.txt", TEXT, function(server)
    local plain, coded = ask(server, "/a.txt", { ["Accept-Encoding"] = "identity" }), ask(server, "/a.txt")
    local etag = plain.headers.etag
    lu.assertEquals({ plain.headers.vary, plain.headers["accept-ranges"], plain.body == TEXT }, { "Accept-Encoding", "bytes", true })
    lu.assertEquals({ coded.headers.vary, coded.headers.etag, coded.headers["accept-ranges"], coded.headers["content-length"] },
      { "Accept-Encoding", "W/" .. etag })
    lu.assertEquals(gunzip(coded.body), TEXT)
    local same = ask(server, "/a.txt", { ["If-None-Match"] = "W/" .. etag })
    lu.assertEquals({ same.status, same.headers.etag, same.headers.vary, same.headers["content-encoding"] },
      { 304, "W/" .. etag, "Accept-Encoding" })
    lu.assertEquals(ask(server, "/a.txt", { ["If-None-Match"] = etag, ["Accept-Encoding"] = "identity" }).headers.etag, etag)
    lu.assertEquals(ask(server, "/a.txt", { ["If-Match"] = "W/" .. etag }).status, 412)
    local head = ask(server, "/a.txt", nil, "HEAD")
    lu.assertEquals({ is_coded(head), head.headers.etag, head.headers["content-length"], head.body }, { true, "W/" .. etag, nil, "" })
  end)
end

function TestFiles:test_parts_are_never_coded()
  with_file("a.txt", TEXT, function(server)
    local etag = ask(server, "/a.txt", { ["Accept-Encoding"] = "identity" }).headers.etag
    local function part(fields)
      local res = ask(server, "/a.txt", fields)
      return { res.status, res.headers["content-encoding"] or "plain", #res.body, res.headers.etag }
    end
    lu.assertEquals(part { Range = "bytes=0-9" }, { 206, "plain", 10, etag })
    lu.assertEquals(part { Range = "bytes=0-9", ["If-Range"] = "W/" .. etag }, { 200, "plain", #TEXT, etag })   -- of the coded one
    lu.assertEquals(part { Range = "bytes=0-9", ["If-Range"] = etag }, { 206, "plain", 10, etag })
    lu.assertEquals(part { Range = "bytes=99999-" }[1], 416)
  end)
end

function TestFiles:test_large_and_already_coded_ones()
  local big = lines_of(50000)
  with_file("big.css", big, function(server)
    local res = ask(server, "/big.css")
    lu.assertTrue(#res.body < #big / 2)
    lu.assertTrue(gunzip(res.body) == big)
    lu.assertTrue(assert(http.get(url_of(server, "/big.css"))).body == big)
  end)
  for _, name in ipairs { "a.png", "a.gz", "a.unknown" } do
    with_file(name, TEXT, function(server) lu.assertFalse(is_coded(ask(server, "/" .. name))) end)
  end
end

return { TestWanted = TestWanted, TestAnswers = TestAnswers, TestPieces = TestPieces, TestFiles = TestFiles }
