-- SPDX-License-Identifier: MIT
-- What was wrong with the certificate of a host was said of the proxy on the way to it, or of the address that
-- `resolve` gives: the error's target was whom we had connected to.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local certificates = require "spec.support.certificates"
local origin = require "spec.http.origin"

local TestTarget = {}

local function copy(from, to)
  for piece in function() return from:read() end do
    if not to:write(piece) then return end
  end
  to:shutdown()
end

--- A proxy whose tunnels all lead to one port.
local function tunnel_to(port)
  return origin.raw(function(stream)
    origin.read_head(stream)
    local far <close> = assert(net.connect("127.0.0.1:" .. port))
    stream:write "HTTP/1.1 200 OK\r\n\r\n"
    eddy.gather(function() copy(stream, far) end, function() copy(far, stream) end)
  end)
end

function TestTarget:test_it_is_the_origin()
  local server <close> = assert(http.serve { tls = certificates.server "expired", handler = function() return "" end })
  local proxy <close> = tunnel_to(server.port)
  local url, ca = "https://good.test:" .. server.port .. "/", certificates.path "ca.pem"
  for _, options in ipairs { { proxy = "127.0.0.1:" .. proxy.port }, { resolve = { ["good.test"] = "127.0.0.1" } } } do
    options.ca = ca
    local res, err = http.get(url, options)
    lu.assertNil(res)
    lu.assertEquals({ err.kind, err.code, err.op, err.target }, { "tls", "CERT_EXPIRED", "tls", url })
  end
end

return { TestTarget = TestTarget }
