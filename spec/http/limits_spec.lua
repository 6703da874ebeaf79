-- SPDX-License-Identifier: MIT
-- Each limit of the server in bytes and numbers: its default, what is just within it, what is just above,
-- the status of that, and that an option moves it. Those in seconds are in server_slow_spec and https_slow_spec. And
-- the client's: of what it decodes.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local origin = require "spec.http.origin"
local gzip = require "eddy.core".coding.gzip

local HOST = "Host: a\r\nConnection: close\r\n"

-- ---- The server's ------------------------------------------------------------------------------

local TestServer = {}

local function field_of(bytes) return "X: " .. ("x"):rep(bytes - 5) .. "\r\n" end

--- A head of so many bytes, in lines that are not too long.
local function head_of(bytes)
  local first = "GET / HTTP/1.1\r\n" .. HOST
  local lines, left = {}, bytes - #first - 2
  while left > 4000 do
    lines[#lines + 1] = field_of(2000)
    left = left - 2000
  end
  return first .. table.concat(lines) .. field_of(left) .. "\r\n"
end

local CHUNKED = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .. HOST .. "\r\n"

-- option -> default, a request that has just `n` of what is limited, the status above it
local LIMITS = {
  max_line = { 8192, function(n) return "GET /" .. ("x"):rep(n - #"GET / HTTP/1.1\r\n") .. " HTTP/1.1\r\n" .. HOST .. "\r\n" end, 414 },
  max_field = { 8192, function(n) return "GET / HTTP/1.1\r\n" .. HOST .. field_of(n) .. "\r\n" end, 431, "max_line" },
  max_head = { 32768, head_of, 431 },
  max_fields = { 100, function(n) return "GET / HTTP/1.1\r\n" .. HOST .. ("X: y\r\n"):rep(n - 2) .. "\r\n" end, 431 },
  max_body = { 1048576, function(n) return ("POST / HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n%s"):format(n, HOST, ("x"):rep(n)) end, 413 },
  max_chunks = { 1048576, function(n) return ("%s%x\r\n%s\r\n0\r\n\r\n"):format(CHUNKED, n, ("x"):rep(n)) end, 413, "max_body" },
  max_extension = { 256, function(n) return CHUNKED .. "1;" .. ("x"):rep(n - 1) .. "\r\nx\r\n0\r\n\r\n" end, 431 },
  max_trailers = { 16384, function(n) return CHUNKED .. "0\r\n" .. ("X: " .. ("x"):rep(123) .. "\r\n"):rep(n // 128 - 1)
    .. "X: " .. ("x"):rep(123 + n % 128) .. "\r\n\r\n" end, 431 },
}

-- Where the limit is of a smaller option than the default, the others must not come first.
local OWN = { max_line = 300, max_head = 1000, max_fields = 10, max_body = 100, max_extension = 20, max_trailers = 256 }

local function status_of(options, bytes)
  local reached = 0
  options.handler = function() reached = reached + 1 return 204 end
  local server <close> = assert(http.serve(options))
  local got = origin.talk(server.port, bytes)
  local status = tonumber(got:match "^HTTP/1.1 (%d+) ")
  lu.assertEquals(reached, status == 204 and 1 or 0)
  lu.assertEquals(server:stats().rejected, 1 - reached)
  return status
end

for name, case in pairs(LIMITS) do
  local default, request, status, option = table.unpack(case)
  option = option or name
  TestServer["test_" .. name] = function()
    for limit, options in pairs { [default] = {}, [OWN[option]] = { [option] = OWN[option] } } do
      lu.assertEquals({ limit, status_of(options, request(limit)) }, { limit, 204 })
      lu.assertEquals({ limit, status_of(options, request(limit + 1)) }, { limit, status })
    end
  end
end

--- Above its limit a connection is closed without a word: there is nobody to talk to yet.
function TestServer:test_max_connections()
  local server <close> = assert(http.serve { handler = function() return "" end, max_connections = 1 })
  local first <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
  local second <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
  lu.assertNil((second:read()))
  lu.assertEquals(server:stats().refused, 1)
  lu.assertTrue(first:is_idle())
end

--- A body in pieces is limited when it is read: the handler is told, and answers.
function TestServer:test_in_pieces()
  local codes = {}
  local server <close> = assert(http.serve { stream = true, max_body = 10, max_extension = 5, max_trailers = 10, handler = function(req)
    local _, err = req:read_all()
    codes[#codes + 1] = err and err.code or "fine"
    return err and 413 or 204
  end })
  local long = "b\r\nxxxxxxxxxxx\r\n0\r\n\r\n"
  for _, body in ipairs { "1\r\nx\r\n0\r\n\r\n", long, "1;xxxxx\r\nx\r\n0\r\n\r\n", "0\r\nX: xxxxxxx\r\n\r\n" } do
    origin.talk(server.port, CHUNKED .. body)
  end
  lu.assertEquals(codes, { "fine", "EBODY", "EHEADERS", "EHEADERS" })
end

function TestServer:test_misuse()
  for _, name in ipairs { "max_line", "max_head", "max_fields", "max_body", "max_extension", "max_trailers", "max_connections",
                          "header_timeout", "handshake_timeout", "idle_timeout", "body_timeout", "min_rate", "write_timeout",
                          "timeout", "linger" } do
    for _, value in ipairs { "1", -1, 0 / 0 } do
      lu.assertErrorMsgContains(name, http.serve, { handler = print, [name] = value })
    end
  end
end

-- ---- The client's ------------------------------------------------------------------------------

local TestClient = {}

local function zipped(text)
  local encoder <close> = gzip()
  return encoder:feed(text) .. encoder:finish()
end

function TestClient:test_max_ratio()
  local text = ("\0"):rep(4 << 20)   -- becomes a thousandth
  local server <close> = origin.keep(origin.answer(zipped(text), "Content-Encoding: gzip\r\n"))
  for ratio, code in pairs { [100] = "ERATIO", [500] = "ERATIO", [2000] = "fine", [math.huge] = "fine" } do
    local res, err = http.get(server.url, { max_ratio = ratio })
    lu.assertEquals({ ratio, err and err.code or "fine" }, { ratio, code })
    lu.assertTrue(res == nil or #res.body == #text)
    local pieces <close> = assert(http.get(server.url, { max_ratio = ratio, stream = true }))
    lu.assertEquals({ ratio, (select(2, pieces:read_all()) or { code = "fine" }).code }, { ratio, code })
  end
end

--- 42 KB that would become 4 GB is refused with little memory.
function TestClient:test_a_bomb_needs_little_memory()
  local encoder <close> = gzip(9)
  local zeros, parts = ("\0"):rep(1 << 20), {}
  for i = 1, 44 do parts[i] = encoder:feed(zeros) end
  parts[#parts + 1] = encoder:finish()
  local bomb = table.concat(parts)
  lu.assertTrue(#bomb < 50000, #bomb)
  local server <close> = origin.keep(origin.answer(bomb, "Content-Encoding: gzip\r\n"))
  collectgarbage()
  collectgarbage()
  local before, most = collectgarbage "count", 0
  local watcher = eddy.spawn(function()
    while true do
      most = math.max(most, collectgarbage "count" - before)
      eddy.sleep(0)
    end
  end)
  local _, err = http.get(server.url)
  watcher:cancel()
  lu.assertEquals(err.code, "ERATIO")
  lu.assertTrue(most < 4 * 1024, most)
end

return { TestServer = TestServer, TestClient = TestClient }
