-- SPDX-License-Identifier: MIT
-- Scenarios of TLS. See spec/sweep/run.lua. What OpenSSL itself asks memory for is not counted here.
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local tls = require "eddy.tls"

local scenarios = {}

-- Protects nothing; written down because each scenario runs in many states.
local CERTIFICATE = [[
-----BEGIN CERTIFICATE-----
MIIBYzCCAQmgAwIBAgIULPUqGILP5r+/KlCwkruQM2CaMRAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTEwMDQ0MVoYDzIwODkxMTEw
MTAwNDQxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATlP4Ni7a+AJtZwlUhbksgkwhKkuJoT4db4d+L+kTYyLkuHM7fipdec
No420bE0TflpEAENqYTUKsj9SE/RDkRMozcwNTAUBgNVHREEDTALgglsb2NhbGhv
c3QwHQYDVR0OBBYEFDeO0tBM9WUDkrUTBY+I2uwR0JAmMAoGCCqGSM49BAMCA0gA
MEUCIQDJnhtTH8hBOVe6s/3697YFPdxkpsF1i8oevObqT3z4egIgSxHwh6mapIs7
XlPMNhgl5wOoHWAM9sjf5M/EJpcm3JM=
-----END CERTIFICATE-----
]]
local KEY = [[
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIObTk1EJPnb8SjkAs/CA33w7dksekh98fSRCu8V7EiqpoAoGCCqGSM49
AwEHoUQDQgAE5T+DYu2vgCbWcJVIW5LIJMISpLiaE+HW+Hfi/pE2Mi5LhzO34qXX
nDaONtGxNE35aRABDamE1CrI/UhP0Q5ETA==
-----END EC PRIVATE KEY-----
]]

local function client() return { ca = CERTIFICATE, host = "localhost" } end

function scenarios.tls_echo(s)
  local listener <close> = assert(net.listen { port = 0, tls = { cert = CERTIFICATE, key = KEY } })
  eddy.group(function(group)
    group:spawn(function()
      local stream <close> = assert(listener:accept())
      for line in stream:lines() do
        if not stream:write(line, "\n") then return end
      end
    end)
    local _ <close> = s.guard()
    local stream <close> = assert(net.connect { host = "127.0.0.1", port = listener.port, tls = client() })
    assert(stream:write "hello\n")
    assert(stream:read_line() == "hello")
    assert(stream:peer_certificate().subject == "localhost")
    assert(stream:shutdown())
    assert(stream:read() == nil)
  end)
end

-- Written before the handshake, to a client that is refused.
function scenarios.tls_refused(s)
  local listener <close> = assert(net.listen { port = 0, tls = { cert = CERTIFICATE, key = KEY } })
  eddy.group(function(group)
    group:spawn(function()
      local stream <close> = assert(listener:accept())
      stream:write "welcome"
    end)
    local _ <close> = s.guard()
    local stream, err = tls.connect({ host = "127.0.0.1", port = listener.port }, { ca = CERTIFICATE, host = "elsewhere" })
    assert(not stream and (err.code == "CERT_HOSTNAME" or err.code == "ENOMEM"), err)
  end)
end

-- Requests over TLS: a kept connection, then a new one that takes up the session.
function scenarios.https(s)
  local server, err = http.serve { tls = { cert = CERTIFICATE, key = KEY }, handler = function(req)
    local _ <close> = s.guard()
    if req.path == "/close" then return 200, { ["Content-Type"] = "text/plain" }, ("close "):rep(500) end
    return req.path
  end }
  if not server then error(err, 0) end
  local guard <close> = server
  local mine <close> = http.client { ca = CERTIFICATE, resolve = { localhost = "127.0.0.1" }, max_per_host = 1 }
  for _, path in ipairs { "/1", "/close", "/3" } do
    local res, problem = mine:get(("https://localhost:%d%s"):format(server.port, path))
    assert(res or problem)
  end
  local other, refused = mine:get(("https://localhost:%d/"):format(server.port), { ca = "/nothing/there.pem" })
  assert(not other and refused)
  server:stop(5)
end

-- A peer that does not shake hands.
function scenarios.https_silent(s)
  local server, err = http.serve { tls = { cert = CERTIFICATE, key = KEY }, handshake_timeout = 2, handler = function() return "" end }
  if not server then error(err, 0) end
  local guard <close> = server
  local _ <close> = s.guard()
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
  stream:write "\x16\x03\x01"
  eddy.within(10, stream.read, stream)
end

-- As in io.lua: the number of turns is the system's business.
for name, scenario in pairs(scenarios) do
  scenarios[name] = { is_loose = true, run = function(s) eddy.timeout(1000, scenario, s) end }
end

return scenarios
