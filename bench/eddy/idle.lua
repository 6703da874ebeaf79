-- SPDX-License-Identifier: MIT
-- idle.lua CONNECTIONS [CERTIFICATE]: so many connections to a server in a process of its own, each
-- with one exchange behind it and idle now. Prints the bytes that one costs in the server's process
-- and in this one: memory that both hold afterwards, less what they held before.
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local tls = require "eddy.tls"
local measure = dofile "bench/measure.lua"

local connections, certificate = tonumber(arg[1]), arg[2]
local AT_ONCE = 32
local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function start_server()
  local line = quote(arg[-1]) .. " bench/eddy/http_peer.lua " .. (certificate and quote(certificate) or "") .. " & echo $!"
  local pipe = assert(io.popen(line))
  local pid = pipe:read "l"
  return tonumber((pipe:read "l")), pid
end

local trust   -- one context for all connections, as somebody has who opens so many

local function open(port)
  if certificate and not trust then trust = assert(tls.context { ca = certificate }) end
  local stream = assert(net.connect { host = "127.0.0.1", port = port, tls = trust and { context = trust, host = "127.0.0.1" } })
  assert(stream:write(GET))
  assert(stream:read_until "\r\n\r\n")
  assert(stream:read_exactly(13))
  return stream
end

local function open_many(port, n, streams)
  local numbers = {}
  for i = 1, n do numbers[i] = i end
  eddy.map(numbers, function(i)
    streams[i] = open(port)
    return true
  end, { limit = AT_ONCE })
end

local port, pid = start_server()
local ok, problem = pcall(eddy.run, function()
  local client <close> = http.client { ca = certificate }
  local function server_bytes()
    return tonumber(assert(client:get((certificate and "https" or "http") .. "://127.0.0.1:" .. port .. "/memory")).body)
  end
  local function our_bytes()
    collectgarbage()
    collectgarbage()
    return measure.resident_bytes()
  end
  local streams = {}
  open_many(port, 100, streams)
  for i = 1, 100 do streams[i]:close() end
  streams = table.move({}, 1, connections, 1, {})
  eddy.sleep(0.1)
  server_bytes()
  local theirs, ours = server_bytes(), our_bytes()
  open_many(port, connections, streams)
  eddy.sleep(0.1)
  measure.report((server_bytes() - theirs) / connections, (our_bytes() - ours) / connections)
  for i = 1, connections do streams[i]:close() end
end)
os.execute("kill " .. pid)
if not ok then error(problem, 0) end
