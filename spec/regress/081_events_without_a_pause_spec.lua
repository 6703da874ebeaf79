-- SPDX-License-Identifier: MIT
-- A server that said "retry: 0" and then failed, or closed without a word, was asked again as fast as
-- connections could be made: nothing doubled is nothing.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local origin = require "spec.http.origin"

local HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

local TestPause = {}

local function asked(first, later, seconds)
  local server <close> = origin.raw(function(stream, n)
    origin.read_head(stream)
    stream:write(n == 1 and first or later)
  end)
  local in_time = eddy.within(seconds, function()
    for _ in http.events(server.url) do end   -- luacheck: ignore 542
  end)
  lu.assertFalse(in_time)
  return server.connections
end

function TestPause:test_failures_wait_longer_and_longer()
  local first = HEAD .. "retry: 0\n\n"
  lu.assertTrue(asked(first, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 0.25) <= 4)
  lu.assertTrue(asked(first, "", 0.25) <= 4)
  lu.assertTrue(asked(first, HEAD, 0.25) <= 4)
end

function TestPause:test_who_says_something_is_asked_at_once()
  local event = HEAD .. "retry: 0\ndata: x\n\n"
  lu.assertTrue(asked(event, event, 0.25) > 4)
end

return { TestPause = TestPause }
