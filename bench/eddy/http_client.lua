-- SPDX-License-Identifier: MIT
-- http_client.lua PORT IN_FLIGHT REQUESTS [BYTES [CA]]: GETs on kept connections, so many at a time,
-- each of so many bytes (13); over TLS when there is a certificate to trust.
-- Prints CPU microseconds a request and requests a second.
local eddy = require "eddy"
local http = require "eddy.http"
local measure = dofile "bench/measure.lua"

local ca = arg[5]
local url = (ca and "https" or "http") .. "://127.0.0.1:" .. arg[1] .. "/"
local in_flight, requests, size = tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4] or 13)
local client = ca and http.client { ca = ca }
local get = client and function(address) return client:get(address) end or http.get

local function fetch_many(n)
  for _ = 1, n do
    local response = assert(get(url))
    assert(response.status == 200 and #response.body == size)
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
  if client then client:close() end
end)
