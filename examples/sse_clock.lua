-- SPDX-License-Identifier: MIT
-- A clock by server-sent events. A client that leaves cancels the handler at its next wait, so the loop
-- needs no test for that.   eddy examples/sse_clock.lua 8000, then open http://127.0.0.1:8000/
local eddy = require "eddy"
local http = require "eddy.http"

local PAGE = [[<!doctype html><title>clock</title><h1 id=t></h1>
<script>new EventSource("/clock").addEventListener("tick", e => t.textContent = e.data)</script>]]

local function clock(req)
  local guard <close> = setmetatable({}, { __close = function() print "the client has left" end })
  local events <close> = req:events { retry = 1 }
  for n in eddy.every(0.02) do
    events:send { event = "tick", id = n, data = "tick " .. n }
  end
end

local function handler(req)
  if req.path == "/clock" then return clock(req) end
  return 200, { ["Content-Type"] = "text/html" }, PAGE
end

local server <close> = assert(http.serve { port = tonumber(arg[1]) or 0, handler = handler })
if arg[1] then
  print("listening on port " .. server.port)
  eddy.sleep(math.huge)
end

local res <close> = assert(http.get(("http://127.0.0.1:%d/clock"):format(server.port), { stream = true }))
print(res.headers["content-type"])
local seen = 0
for line in res:lines() do
  if line:find "^event" then
    seen = seen + 1
    if seen <= 3 then print(line) else break end
  end
end
res:close()
eddy.sleep(0.1)
