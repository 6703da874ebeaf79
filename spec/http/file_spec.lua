-- SPDX-License-Identifier: MIT
-- Files over HTTP: conditions, ranges, types, trees that nobody gets out of.
local lu = ...
local http = require "eddy.http"
local file = require "eddy.http.file"
local mime = require "eddy.http.mime"
local origin = require "spec.http.origin"
local serving = require "spec.support.serving"

--- A directory with some files, removed with its variable.
local function tree()
  local root = os.tmpname()
  os.remove(root)
  assert(os.execute(("mkdir -p %s/www/sub/empty %s/www/.git"):format(root, root)))
  local function put(name, text)
    local handle <close> = assert(io.open(root .. "/" .. name, "wb"))
    handle:write(text)
  end
  put("secret.txt", "secret")
  put("www/a.txt", "0123456789")
  put("www/index.html", "<p>index")
  put("www/sub/index.html", "<p>sub")
  put("www/sub/b c.css", "b{}")
  put("www/.git/config", "hidden")
  put("www/big.bin", ("0123456789abcdef"):rep(20000))
  put("www/zero", "")
  assert(os.execute(("cd %s/www && ln -s ../secret.txt link && ln -s .. up && ln -s a.txt inner"):format(root)))
  return setmetatable({ root = root, www = root .. "/www" }, { __close = function()
    os.execute("rm -rf '" .. root .. "'")
  end })
end

local function serve(handler)
  local server, reports = serving.serve(handler)
  return server, reports, serving.url_of(server, "")
end

local TestFile = {}

function TestFile:test_whole()
  local dir <close> = tree()
  local _ <close>, _, url = serve(function(req)
    if req.path == "/table" then return { file = dir.www .. "/a.txt", headers = { ["X-A"] = "1" } } end
    if req.path == "/status" then return { file = dir.www .. "/a.txt", status = 404 } end
    return http.file(dir.www .. req.path)
  end)
  local res = assert(http.get(url .. "/a.txt"))
  lu.assertEquals({ res.status, res.body, res.headers["content-type"], res.headers["accept-ranges"], res.headers["content-length"] },
    { 200, "0123456789", "text/plain; charset=utf-8", "bytes", "10" })
  lu.assertStrMatches(res.headers.etag, '"[%x-]+"')
  lu.assertNotNil(mime.parse_date(res.headers["last-modified"]))
  lu.assertEquals(assert(http.get(url .. "/table")).headers["x-a"], "1")
  lu.assertEquals(assert(http.get(url .. "/status")).status, 404)
  lu.assertEquals(assert(http.get(url .. "/zero")).body, "")
  lu.assertEquals(#assert(http.get(url .. "/big.bin")).body, 320000)
  local head = assert(http.head(url .. "/big.bin"))
  lu.assertEquals({ head.body, head.headers["content-length"] }, { "", "320000" })
  lu.assertEquals(assert(http.get(url .. "/none")).status, 404)
  lu.assertEquals(assert(http.get(url .. "/sub")).status, 404)
end

function TestFile:test_ranges()
  local dir <close> = tree()
  local _ <close>, _, url = serve(function() return http.file(dir.www .. "/a.txt") end)
  local cases = {
    { "bytes=0-0", 206, "0", "bytes 0-0/10" }, { "bytes=2-4", 206, "234", "bytes 2-4/10" },
    { "bytes=5-", 206, "56789", "bytes 5-9/10" }, { "bytes=-3", 206, "789", "bytes 7-9/10" },
    { "bytes=-99", 206, "0123456789", "bytes 0-9/10" }, { "bytes=8-99", 206, "89", "bytes 8-9/10" },
    { "Bytes = 1-2", 206, "12", "bytes 1-2/10" }, { "bytes=10-", 416, "", "bytes */10" },
    { "bytes=-0", 416, "", "bytes */10" }, { "bytes=20-30,40-", 416, "", "bytes */10" },
    { "bytes=4-2", 200, "0123456789" }, { "bytes=a-b", 200, "0123456789" }, { "bytes=", 200, "0123456789" },
    { "bytes=-", 200, "0123456789" }, { "lines=0-1", 200, "0123456789" },
    { "bytes=0-9,0-9", 200, "0123456789" }, { "bytes=1-2,90-", 206, "12", "bytes 1-2/10" },
    { "bytes=99999999999999999999-", 200, "0123456789" },
    { "bytes=" .. ("0-0,"):rep(16) .. "1-1", 200, "0123456789" },
  }
  for _, case in ipairs(cases) do
    local res = assert(http.get(url, { headers = { Range = case[1] } }))
    lu.assertEquals({ case[1], res.status, res.body, res.headers["content-range"] }, case)
  end
end

function TestFile:test_several_ranges()
  local dir <close> = tree()
  local _ <close>, _, url = serve(function() return http.file(dir.www .. "/a.txt") end)
  local res = assert(http.get(url, { headers = { Range = "bytes=0-1,-2" } }))
  local boundary = res.headers["content-type"]:match "^multipart/byteranges; boundary=(.+)$"
  lu.assertEquals(res.status, 206)
  lu.assertEquals(res.body, ("\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
    .. "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--%s--\r\n"):format(
      boundary, boundary, boundary))
end

function TestFile:test_conditions()
  local dir <close> = tree()
  local _ <close>, _, url = serve(function() return http.file(dir.www .. "/a.txt") end)
  local first = assert(http.get(url)).headers
  local etag, date = first.etag, first["last-modified"]
  local old, new = "Sun, 06 Nov 1994 08:49:37 GMT", mime.format_date(mime.parse_date(date) + 100)
  local cases = {
    { 304, { ["If-None-Match"] = etag } }, { 304, { ["If-None-Match"] = "W/" .. etag } },
    { 304, { ["If-None-Match"] = '"x", ' .. etag } }, { 304, { ["If-None-Match"] = "*" } },
    { 200, { ["If-None-Match"] = '"x"' } }, { 200, { ["If-None-Match"] = '"x"', ["If-Modified-Since"] = new } },
    { 304, { ["If-Modified-Since"] = date } }, { 304, { ["If-Modified-Since"] = new } },
    { 200, { ["If-Modified-Since"] = old } }, { 200, { ["If-Modified-Since"] = "yesterday" } },
    { 200, { ["If-Match"] = etag } }, { 412, { ["If-Match"] = '"x"' } }, { 412, { ["If-Match"] = "W/" .. etag } },
    { 200, { ["If-Match"] = "*" } }, { 412, { ["If-Unmodified-Since"] = old } }, { 200, { ["If-Unmodified-Since"] = new } },
    { 206, { Range = "bytes=0-1", ["If-Range"] = etag } }, { 200, { Range = "bytes=0-1", ["If-Range"] = '"x"' } },
    { 206, { Range = "bytes=0-1", ["If-Range"] = date } }, { 200, { Range = "bytes=0-1", ["If-Range"] = old } },
    { 200, { Range = "bytes=0-1", ["If-Range"] = "W/" .. etag } },
  }
  for i, case in ipairs(cases) do
    local res = assert(http.get(url, { headers = case[2] }))
    lu.assertEquals({ i, res.status }, { i, case[1] })
    if case[1] == 304 then lu.assertEquals({ res.body, res.headers.etag }, { "", etag }) end
  end
  lu.assertEquals(assert(http.post(url, { headers = { ["If-None-Match"] = etag } })).status, 412)
end

function TestFile:test_misuse()
  lu.assertStrContains(select(2, pcall(http.file, 1)), "path")
  lu.assertStrContains(select(2, pcall(http.file, "x", { typo = 1 })), "unknown option 'typo'")
  lu.assertStrContains(select(2, pcall(http.files, "x", { typo = 1 })), "unknown option 'typo'")
end

local TestTree = {}

function TestTree:test_paths()
  local dir <close> = tree()
  local server <close>, reports = serve(http.files(dir.www))
  local cases = {
    { "/", 200, "<p>index" }, { "/a.txt", 200, "0123456789" }, { "/sub/", 200, "<p>sub" }, { "/sub", 301, "" },
    { "/sub/b%20c.css", 200, "b{}" }, { "//a.txt", 200, "0123456789" }, { "/a.txt?x=../..", 200, "0123456789" },
    { "/sub/empty/", 404 }, { "/none", 404 }, { "/a.txt/", 404 }, { "/a.txt/x", 404 },
    { "/../secret.txt", 404 }, { "/%2e%2e/secret.txt", 404 }, { "/sub/../../secret.txt", 404 },
    { "/..%2fsecret.txt", 404 }, { "/%2e%2e%2fsecret.txt", 404 }, { "/sub/%2e./%2e./secret.txt", 404 },
    { "/%252e%252e/secret.txt", 404 }, { "/..%5csecret.txt", 404 }, { "/a.txt%00", 404 }, { "/%00", 404 },
    { "/%", 404 }, { "/%2", 404 }, { "/%zz", 404 }, { "/%4", 404 }, { "/link", 404 }, { "/up/secret.txt", 404 },
    { "/inner", 404 }, { "/.git/config", 404 }, { "/%2egit/config", 404 }, { "/./a.txt", 404 }, { "/...", 404 },
    { "/" .. ("x"):rep(300), 404 },
  }
  for _, case in ipairs(cases) do
    local got = origin.talk(server.port, ("GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):format(case[1]))
    local status, body = got:match "^HTTP/1.1 (%d+).-\r\n\r\n(.*)$"
    lu.assertEquals({ case[1], tonumber(status), case[3] and body }, { case[1], case[2], case[3] })
    lu.assertNotStrContains(body, "secret")
  end
  lu.assertEquals(reports, {})
end

function TestTree:test_methods_prefix_redirect()
  local dir <close> = tree()
  local server <close>, _, url = serve(http.files(dir.www, { prefix = "/static", hidden = true }))
  lu.assertEquals(assert(http.get(url .. "/static/a.txt")).status, 200)
  lu.assertEquals(assert(http.get(url .. "/a.txt")).status, 404)
  lu.assertEquals(assert(http.get(url .. "/static/.git/config")).status, 200)
  local res = assert(http.post(url .. "/static/a.txt"))
  lu.assertEquals({ res.status, res.headers.allow }, { 405, "GET, HEAD" })
  res = assert(http.get(url .. "/static/sub?q=1", { redirects = 0 }))
  lu.assertEquals({ res.status, res.headers.location }, { 301, "/static/sub/?q=1" })
  local got = origin.talk(server.port, "GET //static/sub HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
  lu.assertNil(got:find "Location: //")
end

function TestTree:test_decode_path()
  for text, expected in pairs { ["/"] = "", ["/a%20b"] = "a b", ["/a//b"] = "a//b", ["/%41"] = "A" } do
    lu.assertEquals(file.decode_path(text), expected)
  end
  for _, text in ipairs { "", "a", "*", "/%", "/%a", "/%g0", "/..", "/a/..", "/%2e%2e", "/a%00", "/a\\b", "/." } do
    lu.assertNil(file.decode_path(text), text)
  end
end

local TestDates = {}

function TestDates:test_three_forms()
  for _, text in ipairs { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" } do
    lu.assertEquals(mime.parse_date(text), 784111777)
  end
  lu.assertEquals(mime.format_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT")
  for _, time in ipairs { 0, 951782400, 1709164800, 4102444800 } do
    lu.assertEquals(mime.parse_date(mime.format_date(time)), time)
  end
  for _, text in ipairs { "", "now", "Sun, 06 Xyz 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT" } do
    lu.assertNil(mime.parse_date(text))
  end
end

return { TestFile = TestFile, TestTree = TestTree, TestDates = TestDates }
