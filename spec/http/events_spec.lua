-- SPDX-License-Identifier: MIT
-- Server-sent events and downloads.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local origin = require "spec.http.origin"

local HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"

-- ---- Events ------------------------------------------------------------------------------------

local TestEvents = {}

--- A server that sends `bodies[n]` over its n-th connection and closes; after them 204.
local function sender(bodies, step)
  local heads = {}
  local server = origin.raw(function(stream, n)
    heads[n] = origin.read_head(stream)
    local bytes = bodies[n] and HEAD .. bodies[n] or "HTTP/1.1 204 No Content\r\n\r\n"
    for at = 1, #bytes, step or #bytes do
      stream:write(bytes:sub(at, at + (step or #bytes) - 1))
      if step then eddy.sleep(0.0001) end
    end
  end)
  server.heads = heads
  return server
end

local function all(url, options)
  local list = {}
  for event in http.events(url, options) do
    list[#list + 1] = ("%s|%s|%s"):format(event.event, event.data, event.id or "-")
  end
  return list
end

local TEXT = "\xEF\xBB\xBF: comment\nretry: 1\n\ndata: one\n\nevent: named\r\ndata:two\r\ndata: lines\r\nid: 7\r\n\r\n"
  .. "data\r\rid: 8\ndata: x\n\nevent: empty\n\nunknown: y\ndata:  kept\n\ndata: unfinished"
local PARSED = { "message|one|-", "named|two\nlines|7", "message||7", "message|x|8", "message| kept|8" }

function TestEvents:test_parsing_in_any_pieces()
  for _, step in ipairs { false, 1, 2, 5 } do
    local server <close> = sender({ TEXT }, step or nil)
    lu.assertEquals(all(server.url), PARSED)
  end
end

function TestEvents:test_reconnects_with_the_last_id()
  local server <close> = sender { "retry: 5\nid: a\ndata: 1\n\n", "data: 2\n\n" }
  lu.assertEquals(all(server.url, { last_event_id = "start" }), { "message|1|a", "message|2|a" })
  lu.assertStrContains(server.heads[1], "Last-Event-ID: start")
  lu.assertStrContains(server.heads[2], "Last-Event-ID: a")
  lu.assertStrContains(server.heads[1], "Accept: text/event-stream")
end

function TestEvents:test_no_reconnect_where_that_is_not_wanted()
  for _, options in ipairs { { reconnect = false }, { method = "POST", json = { a = 1 } } } do
    local server <close> = sender { "data: 1\n\n", "data: 2\n\n" }
    lu.assertEquals(all(server.url, options), { "message|1|-" })
    lu.assertEquals(server.connections, 1)
  end
end

function TestEvents:test_what_is_raised()
  local cases = {
    HTTP_404 = "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
    EBADHEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
    EEVENT = HEAD .. ("data: " .. ("x"):rep(1000) .. "\n"):rep(1100),
  }
  for code, bytes in pairs(cases) do
    local server <close> = origin.reply(bytes)
    local ok, err = pcall(all, server.url)
    lu.assertFalse(ok)
    lu.assertEquals(err.code, code)
    lu.assertEquals(err.kind, code == "EEVENT" and "limit" or "protocol")
  end
  local ok, err = pcall(all, "http://127.0.0.1:" .. origin.dead_port(), { reconnect = false })
  lu.assertFalse(ok)
  lu.assertEquals(err.code, "ECONNREFUSED")
  lu.assertErrorMsgContains("unknown option 'retries'", http.events, "http://x/", { retries = 1 })
end

function TestEvents:test_break_closes_the_connection()
  local server <close> = origin.hang(HEAD .. "data: 1\n\ndata: 2\n\n")
  local client <close> = http.client()
  for event in client:events(server.url) do   -- luacheck: ignore 512
    lu.assertEquals(event.data, "1")
    break
  end
  lu.assertEquals(client:stats().busy, 0)
end

function TestEvents:test_waits_after_a_5xx()
  local server <close> = origin.raw(function(stream, n)
    origin.read_head(stream)
    stream:write(n == 1 and "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n" or HEAD .. "data: late\n\n")
  end)
  local client <close> = http.client()
  local in_time = eddy.within(0.05, function()
    for _ in client:events(server.url) do break end   -- luacheck: ignore 512
  end)
  lu.assertFalse(in_time)
  lu.assertEquals(server.connections, 1)   -- the next one comes after 3 s
end

-- ---- Downloads ---------------------------------------------------------------------------------

local TestDownload = {}

local function temporary()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function contents(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function expect_clean(path)
  lu.assertNil(contents(path))
  lu.assertNil(contents(path .. ".part"))
  lu.assertNil(contents(path .. ".part.tag"))
end

function TestDownload:test_all_goes_well()
  local text = ("0123456789"):rep(20000)
  local server <close> = origin.reply(origin.answer(text))
  local path, calls, last, whole = temporary(), 0, 0, nil
  local res = assert(http.download(server.url, path, { progress = function(received, total)
    calls, whole = calls + 1, total
    lu.assertTrue(received > last)
    last = received
  end }))
  lu.assertEquals({ res.status, last, whole }, { 200, #text, #text })
  lu.assertNil(res.body)
  lu.assertTrue(calls > 1)
  lu.assertTrue(contents(path) == text)
  os.remove(path)
  expect_clean(path)
end

function TestDownload:test_nothing_is_left_of_a_failure()
  local cases = {
    EOF = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", HTTP_404 = "HTTP/1.1 404 X\r\nContent-Length: 3\r\n\r\nabc",
    EBADENCODING = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
  }
  for code, bytes in pairs(cases) do
    local server <close> = origin.reply(bytes)
    local path = temporary()
    local res, err = http.download(server.url, path)
    lu.assertNil(res)
    lu.assertEquals(err.code, code)
    expect_clean(path)
  end
  local server <close> = origin.keep(origin.answer "x")
  local _, err = http.download(server.url, "/no/such/folder/file")
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "ENOENT", "open" })
  local path = temporary()
  lu.assertErrorMsgContains("mine", http.download, server.url, path, { progress = function() error "mine" end })
  expect_clean(path)
end

function TestDownload:test_nothing_is_left_of_a_cancel()
  local server <close> = origin.hang "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
  local path = temporary()
  local client <close> = http.client()
  local task = eddy.spawn(client.download, client, server.url, path)
  while not contents(path .. ".part") do eddy.sleep(0.001) end
  task:cancel()
  task:join()
  expect_clean(path)
  lu.assertEquals(client:stats().busy, 0)
end

--- A server of `text` that knows ranges and breaks the first answer off after `n` bytes.
local function ranged(text, n, tags)
  return origin.raw(function(stream, count)
    local head = origin.read_head(stream)
    local tag = tags[count] or tags[#tags]
    local from = tonumber(head:match "Range: bytes=(%d+)%-\r\n")
    if from and head:match "If%-Range: ([^\r]*)" == tag then
      stream:write(("HTTP/1.1 206 X\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n%s"):format(
        from, #text - 1, #text, #text - from, text:sub(from + 1)))
    else
      stream:write(("HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n"):format(tag, #text))
      stream:write(count == 1 and text:sub(1, n) or text)
    end
  end)
end

function TestDownload:test_resume()
  local text = ("abcdefghij"):rep(100)
  for _, tags in ipairs { { '"one"' }, { '"one"', '"two"' } } do   -- the same version, and another one
    local server <close> = ranged(text, 300, tags)
    local path, first = temporary(), nil
    local _, err = http.download(server.url, path, { resume = true })
    lu.assertEquals(err.code, "EOF")
    lu.assertEquals(#contents(path .. ".part"), 300)
    local res = assert(http.download(server.url, path, { resume = true, progress = function(received, total)
      first = first or received
      lu.assertEquals(total, #text)
    end }))
    lu.assertEquals(res.status, #tags == 1 and 206 or 200)
    lu.assertEquals(first > 300, #tags == 1 or first == #text)
    lu.assertTrue(contents(path) == text)
    os.remove(path)
    expect_clean(path)
  end
end

function TestDownload:test_misuse()
  lu.assertErrorMsgContains("path", http.download, "http://x/", 5)
  lu.assertErrorMsgContains("progress", http.download, "http://x/", "x", { progress = 1 })
  lu.assertErrorMsgContains("unknown option", http.download, "http://x/", "x", { progres = 1 })
  lu.assertEquals(select(2, http.download("http://x/", "a\0b")).code, "EINVAL")
end

-- ---- JSON --------------------------------------------------------------------------------------

local TestJson = {}

function TestJson:test_both_ways()
  local json = require "eddy.json"
  lu.assertEquals(json.encode { a = {}, b = json.array {}, c = json.null, d = { 1, 2.5, "x\n\"" }, [1.5] = false },
    '{"1.5":false,"a":{},"b":[],"c":null,"d":[1,2.5,"x\\n\\""]}')
  lu.assertEquals(json.decode '{"a":[1,"x",null]}'.a[3], json.null)
  for _, bad in ipairs { "", "{", "[1,]", "nul", '{"a":1}x' } do
    local value, problem = json.decode(bad)
    lu.assertNil(value, bad)
    lu.assertIsString(problem)
  end
  local cycle = {}
  cycle.x = cycle
  for _, value in ipairs { print, cycle, 0 / 0, "\xff", { [print] = 1 } } do
    lu.assertErrorMsgContains("cannot encode as JSON", json.encode, value)
  end
end

function TestJson:test_of_a_response()
  local server <close> = origin.keep(origin.answer '{"n": 1, "list": []}')
  lu.assertEquals(assert(http.get(server.url)):json().n, 1)
  local bad <close> = origin.keep(origin.answer "<html>")
  local value, err = assert(http.get(bad.url)):json()
  lu.assertNil(value)
  lu.assertEquals({ err.kind, err.code }, { "protocol", "EJSON" })
end

return { TestEvents = TestEvents, TestDownload = TestDownload, TestJson = TestJson }
