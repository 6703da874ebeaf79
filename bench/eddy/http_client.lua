-- SPDX-License-Identifier: MIT
-- http_client.lua PORT IN_FLIGHT REQUESTS: small GETs on kept connections, so many at a time.
-- Prints CPU microseconds a request and requests a second.
local eddy = require "eddy"
local http = require "eddy.http"
local measure = dofile "bench/measure.lua"

local url = "http://127.0.0.1:" .. arg[1] .. "/"
local in_flight, requests = tonumber(arg[2]), tonumber(arg[3])

local function fetch_many(n)
  for _ = 1, n do
    local response = assert(http.get(url))
    assert(response.status == 200 and #response.body == 13)
  end
end

local function fetch_at_once(n)
  local started = {}
  for i = 1, in_flight do started[i] = eddy.spawn(fetch_many, n // in_flight) end
  for i = 1, in_flight do started[i]:await() end
end

eddy.run(function()
  fetch_at_once(requests // 10)
  local began, began_clock = eddy.now(), os.clock()
  fetch_at_once(requests)
  local cpu, seconds = os.clock() - began_clock, eddy.now() - began
  measure.report(cpu / requests * 1e6, requests / seconds)
end)
