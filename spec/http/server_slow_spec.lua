-- SPDX-License-Identifier: MIT
-- Slow and silent peers, and handlers that take too long: which status, after which time, under the
-- manual clock. The runtime jumps to the next timer as soon as nothing else is to be done.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local origin = require "spec.http.origin"

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local connect = require "spec.support.serving".connect

--- Everything up to the end, and after how many seconds it came.
local function rest(stream)
  local began, text = eddy.now(), ""
  while true do
    local piece = stream:read()
    if not piece then return text, eddy.now() - began end
    text = text .. piece
  end
end

local function near(seconds, expected)
  lu.assertTrue(seconds >= expected and seconds <= expected + 3, ("%g s, expected %g"):format(seconds, expected))
end

local TestSlow = { clock = "manual" }

--- bytes that a peer sends, the status it gets (nil: none), after how many seconds.
local SILENT = {
  idle = { "", nil, 60 },
  line = { "GET /", "408", 10 },
  head = { "GET / HTTP/1.1\r\nHost: a\r\n", "408", 10 },
  body = { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab", "408", 30 },
  chunk = { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "408", 30 },
}

for name, case in pairs(SILENT) do
  TestSlow["test_silent_" .. name] = function()
    local server <close> = assert(http.serve { handler = function() return "" end })
    local stream <close> = connect(server)
    if case[1] ~= "" then stream:write(case[1]) end
    local text, seconds = rest(stream)
    lu.assertEquals(text:match "^HTTP/1.1 (%d+)", case[2])
    near(seconds, case[3])
  end
end

function TestSlow:test_slowloris_one_byte_at_a_time()
  local server <close> = assert(http.serve { handler = function() return "" end })
  local stream <close> = connect(server)
  local sender = eddy.spawn(function()
    for byte in ("GET / HTTP/1.1\r\nHost: a\r\nX: aaaaaaaaaaaaaaaaaaaaaa"):gmatch "." do
      if not stream:write(byte) then return end
      eddy.sleep(3)
    end
  end)
  local text, seconds = rest(stream)
  lu.assertStrContains(text, "408")
  near(seconds, 10)
  sender:cancel()
end

function TestSlow:test_a_body_that_is_fast_enough()
  local server <close> = assert(http.serve { handler = function(req) return tostring(#req.body) end })
  local stream <close> = connect(server)
  stream:write "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\nConnection: close\r\n\r\n"
  for _ = 1, 50 do
    stream:write(("x"):rep(200))
    eddy.sleep(2)
  end
  lu.assertStrContains((rest(stream)), "10000")
end

function TestSlow:test_body_in_pieces()
  local seen
  local server <close> = assert(http.serve { stream = true, handler = function(req)
    repeat
      local piece, err = req:read()
      seen = err
    until not piece
    return 408
  end })
  local stream <close> = connect(server)
  stream:write "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab"
  local text, seconds = rest(stream)
  lu.assertStrContains(text, "HTTP/1.1 408")
  lu.assertEquals(seen.code, "ETIMEDOUT")
  near(seconds, 30)
end

function TestSlow:test_handler()
  local ended
  local server <close> = assert(http.serve { handler = function()
    local _ <close> = setmetatable({}, { __close = function() ended = true end })
    eddy.sleep(1000)
  end })
  local stream <close> = connect(server)
  stream:write(GET)
  local text, seconds = rest(stream)
  lu.assertStrContains(text, "HTTP/1.1 504 Gateway Timeout")
  near(seconds, 30)
  lu.assertTrue(ended)
  lu.assertEquals(server:stats().timed_out, 1)
end

--- The limit strikes while the handler waits for more of the body: that wait ends with it.
function TestSlow:test_handler_that_reads()
  local server <close> = assert(http.serve { stream = true, timeout = 2, handler = function(req)
    eddy.sleep(2.5)
    req:read_all()
  end })
  local stream <close> = connect(server)
  stream:write "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
  lu.assertStrContains(stream:read_until "\r\n\r\n", "HTTP/1.1 504")
  stream:write "abc"
  rest(stream)
  lu.assertEquals(server:stats().busy, 0)
end

function TestSlow:test_an_answer_that_has_begun_has_time()
  local server <close> = assert(http.serve { handler = function(req)
    local res <close> = req:respond()
    for _ = 1, 5 do
      res:write "x"
      eddy.sleep(20)
    end
  end })
  local stream <close> = connect(server)
  stream:write "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
  local text, seconds = rest(stream)
  lu.assertStrContains(text, "0\r\n\r\n")
  near(seconds, 100)
end

function TestSlow:test_reader_that_takes_nothing()
  local server <close> = assert(http.serve { handler = function(req)
    local res = req:respond()
    while res:write(("x"):rep(1e6)) do end   -- luacheck: ignore 542
  end })
  local stream <close> = connect(server)
  local began = eddy.now()
  stream:write(GET)
  while server:stats().timed_out == 0 and eddy.now() < began + 100 do eddy.sleep(1) end
  lu.assertEquals(server:stats().connections, 0)
  near(eddy.now() - began, 60)
end

function TestSlow:test_limits_of_ones_own()
  local server <close> = assert(http.serve { handler = function() eddy.sleep(100) end, timeout = 2, header_timeout = 3,
    idle_timeout = 4, body_timeout = 5 })
  for bytes, expected in pairs { [GET] = 2, ["GET"] = 3, [""] = 4, ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"] = 5 } do
    local stream <close> = connect(server)
    if bytes ~= "" then stream:write(bytes) end
    local _, seconds = rest(stream)
    near(seconds, expected)
  end
end

function TestSlow:test_many_at_once_are_swept_together()
  local server <close> = assert(http.serve { handler = function() return "" end })
  local streams = {}
  for i = 1, 50 do
    streams[i] = connect(server)
    streams[i]:write "GET / HT"
  end
  for _, stream in ipairs(streams) do
    lu.assertStrContains((rest(stream)), "408")
    stream:close()
  end
  eddy.sleep(5)
  lu.assertEquals(server:stats().connections, 0)
  lu.assertEquals(server:stats().timed_out, 50)
  lu.assertStrContains(origin.talk(server.port, GET:gsub("\r\n\r\n", "\r\nConnection: close\r\n\r\n")), "200 OK")
end

return { TestSlow = TestSlow }
