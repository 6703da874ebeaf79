-- SPDX-License-Identifier: MIT
-- An echo server. Prints its port first.
local eddy = require "eddy"
local net = require "eddy.net"

local function echo(conn)
  while true do
    local bytes = conn:read()
    if not bytes or not conn:write(bytes) then break end
  end
  conn:close()
end

eddy.run(function()
  local listener = assert(net.listen { host = "127.0.0.1", port = 0 })
  print(listener.port)
  io.stdout:flush()
  for conn in listener:incoming() do eddy.spawn(echo, conn) end
end)
