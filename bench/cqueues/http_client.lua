-- SPDX-License-Identifier: MIT
-- http_client.lua PORT IN_FLIGHT REQUESTS: lua-http (package http), which stands on cqueues; one kept
-- connection a coroutine and a stream a request.
local cqueues = require "cqueues"
local client = require "http.client"
local headers = require "http.headers"
local sched = dofile "bench/cqueues/sched.lua"
local measure = dofile "bench/measure.lua"

local port, in_flight, requests = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])

local request = headers.new()
request:append(":method", "GET")
request:append(":scheme", "http")
request:append(":authority", "127.0.0.1:" .. port)
request:append(":path", "/")

local conns = {}

local function fetch_many(i, n)
  local conn = conns[i] or assert(client.connect { host = "127.0.0.1", port = port, version = 1.1 })
  conns[i] = conn
  for _ = 1, n do
    local stream = assert(conn:new_stream())
    assert(stream:write_headers(request, true))
    local response = assert(stream:get_headers())
    local body = assert(stream:get_body_as_string())
    assert(response:get ":status" == "200" and #body == 13)
    stream:shutdown()
  end
end

local function fetch_at_once(n)
  local started = {}
  for i = 1, in_flight do started[i] = sched.spawn(fetch_many, i, n // in_flight) end
  for i = 1, in_flight do started[i]:await() end
end

sched.run(function()
  fetch_at_once(requests // 10)
  local began, began_clock = cqueues.monotime(), os.clock()
  fetch_at_once(requests)
  local cpu, seconds = os.clock() - began_clock, cqueues.monotime() - began
  measure.report(cpu / requests * 1e6, requests / seconds)
  os.exit(true)
end)
