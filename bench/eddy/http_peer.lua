-- SPDX-License-Identifier: MIT
-- http_peer.lua [CERTIFICATE]: the server of idle.lua and slow.lua. Prints its port first; "/memory"
-- is answered with the bytes of this process, anything else with the small reply.
local eddy = require "eddy"
local http = require "eddy.http"
local measure = dofile "bench/measure.lua"

local certificate = arg[1]

local function handler(req)
  if req.path ~= "/memory" then return "Hello, world\n" end
  collectgarbage()
  collectgarbage()
  return tostring(measure.resident_bytes())
end

eddy.run(function()
  local server = assert(http.serve {
    handler = handler, max_connections = 20000, idle_timeout = 300, backlog = 1024,
    tls = certificate and { cert = certificate, key = certificate:gsub("%.pem$", ".key") .. "" } or nil,
  })
  print(server.port)
  io.stdout:flush()
  eddy.sleep(60)   -- nobody has ended us
  server:close()
end)
