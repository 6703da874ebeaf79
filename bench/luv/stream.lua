-- SPDX-License-Identifier: MIT
-- A TCP stream for coroutines over luv: read what there is, write at once what can be written.
local uv = require "luv"
local sched = dofile "bench/luv/sched.lua"

local Stream = {}
Stream.__index = Stream

--- Reading stays on; what comes while nobody waits is kept.
function Stream.new(handle)
  local self = setmetatable({ handle = handle, waiter = false, chunk = false, ended = false }, Stream)
  handle:nodelay(true)
  handle:read_start(function(err, bytes)
    if err or not bytes then self.ended = true
    else self.chunk = self.chunk and self.chunk .. bytes or bytes end
    local waiter = self.waiter
    if waiter then
      self.waiter = false
      sched.continue(waiter)
    end
  end)
  return self
end

--- What has come, or nil at the end.
function Stream:read()
  if not self.chunk and not self.ended then
    self.waiter = coroutine.running()
    coroutine.yield()
  end
  local bytes = self.chunk
  self.chunk = false
  return bytes or nil
end

function Stream:write(bytes)
  local done = self.handle:try_write(bytes) or 0
  if done == #bytes then return true end
  local co = coroutine.running()
  self.handle:write(bytes:sub(done + 1), function(err) sched.continue(co, not err) end)
  return coroutine.yield()
end

function Stream:close() self.handle:close() end

--- Connect to a port of the loopback.
function Stream.connect(port)
  local handle, co = uv.new_tcp(), coroutine.running()
  handle:connect("127.0.0.1", port, function(err) sched.continue(co, err) end)
  local err = coroutine.yield()
  if err then return nil, err end
  return Stream.new(handle)
end

return Stream
