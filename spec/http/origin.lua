-- SPDX-License-Identifier: MIT
-- Servers for the HTTP specs that say exactly the bytes they are told to, right or wrong.
local eddy = require "eddy"
local net = require "eddy.net"

local origin = {}

local origin_meta = { __close = function(self)
  self.listener:close()
  self.task:cancel()
  for _, stream in ipairs(self.streams) do stream:close() end
end }

local function serve(stream, handler, count)
  local guard <close> = stream
  handler(stream, count)
end

--- Call `handler(stream, number of the connection)` in a task for each connection.
function origin.raw(handler)
  local listener = assert(net.listen { host = "127.0.0.1", port = 0 })
  local self = setmetatable({
    listener = listener, port = listener.port, connections = 0, streams = {},
    url = ("http://127.0.0.1:%d/"):format(listener.port),
  }, origin_meta)
  self.task = eddy.spawn(function()
    while true do
      local stream = listener:accept()
      if not stream then return end
      table.insert(self.streams, stream)   -- the task below may be cancelled before it runs
      self.connections = self.connections + 1
      eddy.spawn(serve, stream, handler, self.connections)
    end
  end)
  return self
end

--- The next request head of a stream, or nil.
function origin.read_head(stream)
  return (stream:read_until "\r\n\r\n")
end

--- Answer each connection's first request with these bytes, then close.
function origin.reply(bytes)
  return origin.raw(function(stream)
    if origin.read_head(stream) then stream:write(bytes) end
  end)
end

--- Answer every request with these bytes and keep the connection.
function origin.keep(bytes)
  return origin.raw(function(stream)
    while origin.read_head(stream) do stream:write(bytes) end
  end)
end

--- Answer, then wait until the peer goes.
function origin.hang(bytes)
  return origin.raw(function(stream)
    if origin.read_head(stream) then
      if bytes ~= "" then stream:write(bytes) end
      while stream:read() do end   -- luacheck: ignore 542
    end
  end)
end

--- An answer with a length.
function origin.answer(body, extra)
  return ("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s"):format(extra or "", #body, body)
end

--- A port on which nobody listens.
function origin.dead_port()
  local listener <close> = assert(net.listen { host = "127.0.0.1", port = 0 })
  return listener.port
end

--- Send `bytes` to a port and return all that comes back before the peer closes.
function origin.talk(port, bytes)
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = port })
  assert(stream:write(bytes))
  local pieces = {}
  while true do
    local piece = stream:read()
    if not piece then return table.concat(pieces) end
    pieces[#pieces + 1] = piece
  end
end

return origin
