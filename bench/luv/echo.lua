-- SPDX-License-Identifier: MIT
-- An echo server, one coroutine a connection. Prints its port first.
local uv = require "luv"
local Stream = dofile "bench/luv/stream.lua"

local function echo(handle)
  local stream = Stream.new(handle)
  while true do
    local bytes = stream:read()
    if not bytes or not stream:write(bytes) then break end
  end
  stream:close()
end

local server = uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(512, function()
  local handle = uv.new_tcp()
  server:accept(handle)
  coroutine.wrap(echo)(handle)
end)
print(server:getsockname().port)
io.stdout:flush()
uv.run()
