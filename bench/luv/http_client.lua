-- SPDX-License-Identifier: MIT
-- http_client.lua PORT IN_FLIGHT REQUESTS: an exchange by hand, since luv brings no HTTP: status and
-- length by patterns, no other header looked at, no pool. A lower bound, not a client.
local uv = require "luv"
local measure = dofile "bench/measure.lua"
local sched = dofile "bench/luv/sched.lua"
local Stream = dofile "bench/luv/stream.lua"

local port, in_flight, requests = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local request = ("GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\n\r\n"):format(port)

--- One response: status and body.
local function read_response(stream)
  local bytes = stream:read()
  local body_at
  repeat
    body_at = bytes:match "\r\n\r\n()"
    if not body_at then bytes = bytes .. assert(stream:read()) end
  until body_at
  local status = tonumber(bytes:match "^HTTP/1%.1 (%d%d%d)")
  local length = tonumber(bytes:match "\r\n[Cc]ontent%-[Ll]ength: *(%d+)")
  while #bytes - body_at + 1 < length do bytes = bytes .. assert(stream:read()) end
  return status, bytes:sub(body_at)
end

local streams = {}

local function fetch_many(i, n)
  local stream = streams[i] or assert(Stream.connect(port))
  streams[i] = stream
  for _ = 1, n do
    assert(stream:write(request))
    local status, body = read_response(stream)
    assert(status == 200 and #body == 13)
  end
end

local function fetch_at_once(n)
  local started = {}
  for i = 1, in_flight do started[i] = sched.spawn(fetch_many, i, n // in_flight) end
  for i = 1, in_flight do started[i]:await() end
end

sched.run(function()
  fetch_at_once(requests // 10)
  local began, began_clock = uv.hrtime(), os.clock()
  fetch_at_once(requests)
  local cpu, seconds = os.clock() - began_clock, (uv.hrtime() - began) * 1e-9
  measure.report(cpu / requests * 1e6, requests / seconds)
  os.exit(true)
end)
