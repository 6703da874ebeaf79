-- SPDX-License-Identifier: MIT
-- Two ends of a connection, for the specs of streams.
local eddy = require "eddy"
local net = require "eddy.net"

local pair = {}

pair.BIG = ("0123456789abcdef"):rep(1024 * 1024)   -- more than any socket takes at once

--- A path that does not exist.
function pair.path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local pair_meta = { __close = function(self)
  self.near:close()
  self.far:close()
end }

--- Both ends in one to-be-closed table: `near` was accepted, `far` has connected.
---@param is_unix boolean?
function pair.open(is_unix)
  local target = is_unix and { path = pair.path() } or { port = 0 }
  local listener <close> = assert(net.listen(target))
  if not is_unix then target = { host = "127.0.0.1", port = listener.port } end
  local far = assert(net.connect(target))
  return setmetatable({ near = assert(listener:accept()), far = far }, pair_meta)
end

--- Let tasks run that became ready, and the system move what was written.
function pair.settle()
  for _ = 1, 4 do eddy.sleep(0) end
end

--- Read `n` bytes, or to the end, in whatever pieces they come.
function pair.drain(stream, n)
  local got, pieces = 0, {}
  while not n or got < n do
    local piece, err = stream:read()
    if err then return nil, err end
    if not piece then break end
    got = got + #piece
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

--- Pass bytes on between two streams in pieces of `size`.
function pair.relay(from, to, size)
  for bytes in function() return from:read() end do
    for at = 1, #bytes, size do
      if not to:write(bytes:sub(at, at + size - 1)) then return end
      eddy.sleep(0)
    end
  end
  to:shutdown()
end

--- Make the peer of `far` see a reset: it is closed while it has not read everything.
function pair.reset(env)
  assert(env.near:write "never read")
  pair.settle()
  eddy.sleep(0.01)
  env.far:close()
  eddy.sleep(0.01)
end

--- A port on which nobody listens.
function pair.dead_port()
  local listener <close> = assert(net.listen { port = 0 })
  return listener.port
end

--- A listener with a full backlog: connecting to it stays pending. Closes what fills it, too.
function pair.full_listener()
  local listener = assert(net.listen { port = 0, backlog = 1 })
  local held = {}
  local self = setmetatable({ listener = listener, port = listener.port, held = held }, { __close = function(self)
    listener:close()
    for _, stream in ipairs(self.held) do stream:close() end
  end })
  repeat
    local in_time, stream = eddy.within(0.1, net.connect, { host = "127.0.0.1", port = listener.port })
    if in_time then held[#held + 1] = assert(stream) end
  until not in_time
  return self
end

return pair
