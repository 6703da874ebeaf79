-- SPDX-License-Identifier: MIT
-- An echo server that speaks TLS, and clients that verify it. The certificate is made here by the
-- program `openssl`; a real server has files that it was given.
local eddy = require "eddy"
local net = require "eddy.net"
local tls = require "eddy.tls"

--- A certificate for "localhost" that signs itself, and its key, as one PEM text.
local function make_certificate()
  local path = os.tmpname()
  local made = os.execute(("openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost "
    .. "-addext subjectAltName=DNS:localhost -keyout %s -out %s.pem 2>/dev/null"):format(path, path))
  assert(made, "the program openssl is needed")
  local texts = {}
  for i, name in ipairs { path .. ".pem", path } do
    local file <close> = assert(io.open(name))
    texts[i] = file:read "a"
    os.remove(name)
  end
  return table.concat(texts), texts[1]
end

local identity, certificate = make_certificate()
local listener <close> = assert(net.listen { port = 0, tls = { cert = identity } })

-- The handshake of a connection runs in its own task, with the first read: nobody waits for others.
local server = eddy.spawn(function()
  eddy.group(function(group)
    for conn in listener:incoming() do
      group:spawn(function()
        local _ <close> = conn
        while true do
          local line, err = conn:read_line()
          if err then print("the server: " .. err.code) end
          if not line then return end
          assert(conn:write(line, "\n"))
        end
      end)
    end
  end)
end)

-- A context is made once: it holds what is trusted, and the sessions that can be taken up again.
local context = assert(tls.context { ca = certificate })

local function talk(host, text)
  local conn, err = net.connect { host = "127.0.0.1", port = listener.port, tls = { context = context, host = host } }
  if not conn then return print("the client: " .. err.message) end
  local _ <close> = conn
  assert(conn:write(text, "\n"))
  print(conn:read_line(), (conn:tls_version()), conn:resumed() and "resumed" or "new")
end

talk("localhost", "hello")
talk("localhost", "hello again")
talk("elsewhere", "nobody hears this")

listener:close()
server:await()
