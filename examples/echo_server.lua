-- SPDX-License-Identifier: MIT
-- An echo server, and clients that talk to it: each connection is a task, each task reads top down.
-- Given a port it serves until interrupted:   eddy examples/echo_server.lua 7000
local eddy = require "eddy"
local net = require "eddy.net"

local function echo(conn)
  local _ <close> = conn
  for line in conn:lines() do assert(conn:write(line, "\n")) end
end

local function serve(listener)
  eddy.group(function(group)
    for conn in listener:incoming() do group:spawn(echo, conn) end
  end)
end

local function talk(port, name)
  local conn <close> = assert(net.connect { host = "127.0.0.1", port = port })
  assert(conn:write("hello, I am ", name, "\n"))
  return assert(conn:read_until("\n")):sub(1, -2)
end

local listener <close> = assert(net.listen { host = "127.0.0.1", port = tonumber(arg[1]) or 0 })
if arg[1] then
  print("listening on port " .. listener.port)
  serve(listener)
  return
end

local server = eddy.spawn(serve, listener)
for _, answer in ipairs(eddy.gather {
  function() return talk(listener.port, "Ann") end,
  function() return talk(listener.port, "Bob") end,
  function() return talk(listener.port, "Cleo") end,
}) do print(answer) end
listener:close()   -- ends `incoming`, and with it the server
server:await()
print("the server has ended")
