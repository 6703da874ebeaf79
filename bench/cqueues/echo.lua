-- SPDX-License-Identifier: MIT
-- An echo server, one coroutine a connection. Prints its port first.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local ROOM = 64 * 1024

local function echo(conn)
  conn:setmode("bn", "bn")
  conn:setbufsiz(ROOM, ROOM)
  while true do
    local bytes = conn:read(-ROOM)
    if not bytes or not conn:write(bytes) then break end
  end
  conn:close()
end

local loop = cqueues.new()
local server = socket.listen { host = "127.0.0.1", port = 0, nodelay = true }
assert(server:listen())
local _, _, port = server:localname()
print(port)
io.stdout:flush()
loop:wrap(function()
  for conn in server:clients() do loop:wrap(echo, conn) end
end)
assert(loop:loop())
