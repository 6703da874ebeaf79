-- SPDX-License-Identifier: MIT
-- The log of a server was told of answers that a handler gave, and of nothing else: not of 400, 408, 431, not of
-- handlers that were too late (504) or left by their peers; and it never knew the peer's address.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local origin = require "spec.http.origin"

local TestLog = {}

local function serve(options)
  local lines = {}
  options.log = function(req, status, bytes, seconds)
    lu.assertEquals({ type(req.headers), req.body and type(req.body) or "none" }, { "table", "string" })
    lu.assertEquals(req.remote, not options.path and "127.0.0.1" or nil)
    lu.assertEquals(req.remote_port ~= nil, not options.path)
    lu.assertTrue(seconds >= 0 and seconds < 10)
    lines[#lines + 1] = ("%s %s|%s|%s %d %d"):format(req.method, req.target, req.path, req.query or "-", status, bytes)
  end
  options.on_error = function(err) lines[#lines + 1] = tostring(err) end
  options.handler = options.handler or function(req) return req.path end
  return assert(http.serve(options)), lines
end

local function wait_for(lines, n)
  for _ = 1, 1000 do
    if #lines >= n then return end
    eddy.sleep(0.005)
  end
end

local CASES = {
  { "GET /a?b HTTP/1.1\r\n\r\n", "GET /a?b|/a|b 400 12" },
  { "\r\nPOST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "POST /p|/p|- 400 12" },
  { "POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", "POST /big|/big|- 413 18" },
  { "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nzz", "POST /c|/c|- 400 12" },
  { "GET /" .. ("x"):rep(9000), "GET /" .. ("x"):rep(1019) .. "|/" .. ("x"):rep(1019) .. "|- 414 13" },
  { "GET / HTTP/1.1\r\nHost: x\r\n" .. ("A: b\r\n"):rep(200) .. "\r\n", "GET /|/|- 431 32" },
  { "GET / HTTP/1.1\r\nHost: x\r\nExpect: y\r\n\r\n", "GET /|/|- 417 19" },
  { "GET / HTTP/3.0\r\nHost: x\r\n\r\n", "GET /|/|- 505 27" },
  { "\22\3\1\2\0\1\0\1", " ||- 400 12" },
  { "G\27T /\27[31m HTTP/1.1\r\n\r\n", " ||- 400 12" },
  { "GET /\27[31m HTTP/1.1\r\n\r\n", "GET /|/|- 400 12" },
}

function TestLog:test_refused()
  local server <close>, lines = serve { max_body = 100 }
  for i, case in ipairs(CASES) do
    lu.assertStrContains(origin.talk(server.port, case[1]), "HTTP/1.1 ")
    wait_for(lines, i)
    lu.assertEquals(lines[i], case[2])
  end
  lu.assertEquals(assert(http.get("http://127.0.0.1:" .. server.port .. "/ok")).body, "/ok")
  lu.assertEquals(lines[#CASES + 1], "GET /ok|/ok|- 200 3")
end

function TestLog:test_a_unix_socket()
  local path = os.tmpname()
  os.remove(path)
  local server <close>, lines = serve { path = path }
  local stream <close> = assert(net.connect { path = path })
  stream:write "GET / HTTP/1.1\r\n\r\n"
  lu.assertStrContains(stream:read_all(), "400")
  wait_for(lines, 1)
  lu.assertEquals(lines, { "GET /|/|- 400 12" })
  lu.assertEquals(server:stats().rejected, 1)
end

function TestLog:test_times_and_peers_that_leave()
  local server <close>, lines = serve { timeout = 0.1, header_timeout = 0.1, handler = function(req)
    if req.path == "/begun" then req:respond():write "abc" end
    eddy.sleep(60)
  end }
  local slow = eddy.spawn(origin.talk, server.port, "GET /head HTT")
  lu.assertEquals(assert(http.get("http://127.0.0.1:" .. server.port .. "/late")).status, 504)
  lu.assertStrContains(slow:await(), "408")
  wait_for(lines, 2)
  for i, path in ipairs { "/left", "/begun" } do
    local stream <close> = assert(net.connect("127.0.0.1:" .. server.port))
    stream:write("GET " .. path .. " HTTP/1.1\r\nHost: x\r\n\r\n")
    if i == 1 then eddy.sleep(0.02) else stream:read() end
    stream:close()
    wait_for(lines, 2 + i)
  end
  table.sort(lines)
  lu.assertEquals(lines, {
    "GET /begun|/begun|- 200 3", "GET /head|/head|- 408 16", "GET /late|/late|- 504 0", "GET /left|/left|- 499 0",
  })
end

--- What was refused last is told too, by a stop that waits.
function TestLog:test_stop()
  local server, lines = serve {}
  local stream <close> = assert(net.connect("127.0.0.1:" .. server.port))
  stream:write "nonsense\r\n\r\n"
  stream:read()
  stream:close()
  server:stop { grace = 5 }
  lu.assertEquals(lines, { " ||- 400 12" })
end

function TestLog:test_a_log_that_fails_stops_nobody()
  local errors = {}
  local server <close> = assert(http.serve {
    handler = function() return "x" end,
    log = function() error "full" end, on_error = function(err) errors[#errors + 1] = err end,
  })
  origin.talk(server.port, "nonsense\r\n\r\n")
  wait_for(errors, 1)
  lu.assertEquals(assert(http.get("http://127.0.0.1:" .. server.port .. "/")).body, "x")
  wait_for(errors, 2)
  lu.assertEquals(#errors, 2)
end

--- Who sends nonsense while the log waits does not fill the memory.
function TestLog:test_a_log_that_waits_is_told_of_a_thousand()
  local go, told, sent = eddy.event(), 0, 1100
  local server <close> = assert(http.serve {
    handler = function() return "x" end, log = function() go:wait() told = told + 1 end,
  })
  for _ = 1, sent do origin.talk(server.port, "nonsense\r\n\r\n") end
  lu.assertEquals(server:stats().rejected, sent)
  go:set()
  lu.assertEquals(assert(http.get("http://127.0.0.1:" .. server.port .. "/")).body, "x")
  lu.assertTrue(told >= 1000 and told <= 1002, told)   -- and the one that the log was at, and the last
end

return { TestLog = TestLog }
