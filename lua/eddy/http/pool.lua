-- SPDX-License-Identifier: MIT
-- Kept connections of one client. A connection is counted from the moment somebody is told to open
-- it until its stream is closed; at most `max` in all and `max_per_host` to one origin. Who finds no
-- place waits, first come first served, inside its own deadline.
--
-- Promise: a connection is handed out only when its last exchange was read to its end, nothing
-- has come since and its peer has not closed it. Whoever takes one gives it back or drops it, by
-- `<close>` if nothing else: it is a to-be-closed value.
local eddy = require "eddy"
local core = require "eddy.core"
local tls = core.tls and require "eddy.tls"   -- a build may be without

local new_message = core.http.message
local spare = core.net.spare
local now = eddy.now

local pool = {}

local ALPN, MAX_CONTEXTS = { "http/1.1" }, 64

---@class eddy.http.Connection
---@field stream eddy.Stream|false   not opened yet
---@field message userdata           what core.http reads with
---@field target table               for net.connect
---@field is_out boolean             somebody is responsible for it
---@field is_lent boolean            a response or a waiter is: `<close>` leaves it alone
---@field expires number
local Connection = {}

---@class eddy.http.Pool
local Pool = {}
Pool.__index = Pool

local connection_meta = {
  __name = "eddy.http.Connection",
  __index = Connection,
  __close = function(self) if self.is_out and not self.is_lent then self.pool:drop(self) end end,
}

---@class eddy.http.PoolOptions
---@field max integer
---@field max_per_host integer
---@field keep_alive number          seconds

---@param options eddy.http.PoolOptions
---@return eddy.http.Pool
function pool.new(options)
  return setmetatable({
    max = options.max, max_per_host = options.max_per_host, keep_alive = options.keep_alive,
    hosts = {},          -- origin -> host
    queues = {},         -- host -> true: those with somebody waiting
    all = {},            -- connection -> true
    contexts = {}, ncontexts = 0,   -- of TLS, by settings; each keeps the sessions of its origins
    total = 0, nidle = 0, waiting = 0, ticket = 0,
    opened = 0, reused = 0, closed = 0,
    has_orphans = false, is_closed = false,
  }, Pool)
end

local function new_host(self, key)
  local host = { key = key, count = 0, nidle = 0, idle = {}, first = 1, last = 0, queue = {} }
  self.hosts[key] = host
  return host
end

--- A host that nobody uses is forgotten.
local function tidy(self, host)
  if host.count == 0 and host.first > host.last then self.hosts[host.key] = nil end
end

function pool.closed_error()
  return core.error { kind = "closed", code = "ECLOSED", op = "pool", message = "the client is closed" }
end

-- ---- Counting ----------------------------------------------------------------------------------

local function pop_idle(self, host)
  local n = host.nidle
  local connection = host.idle[n]
  host.idle[n] = nil
  host.nidle = n - 1
  self.nidle = self.nidle - 1
  return connection
end

--- A connection that is not idle any more goes out of the books.
local function forget(self, connection)
  local host = connection.host
  if connection.stream then
    connection.stream:close()
    self.closed = self.closed + 1
  end
  connection.is_out = false
  self.all[connection] = nil
  host.count = host.count - 1
  self.total = self.total - 1
  tidy(self, host)
end

--- Close the connection that has been idle for longest; false if none is.
local function evict(self)
  local oldest
  for _, host in pairs(self.hosts) do
    local candidate = host.idle[1]
    if candidate and (not oldest or candidate.expires < oldest.expires) then oldest = candidate end
  end
  if not oldest then return false end
  local host = oldest.host
  table.remove(host.idle, 1)
  host.nidle = host.nidle - 1
  self.nidle = self.nidle - 1
  forget(self, oldest)
  return true
end

local function has_room(self, host)
  return host.count < self.max_per_host and (self.total < self.max or self.nidle > 0 and evict(self))
end

--- A place for a connection that its taker will open.
local function new_connection(self, host)
  local connection = setmetatable({
    pool = self, host = host, stream = false, message = new_message(), is_out = true, is_lent = false,
    is_orphan = false, expires = 0,
  }, connection_meta)
  host.count = host.count + 1
  self.total = self.total + 1
  self.hosts[host.key] = host
  self.all[connection] = true
  return connection
end

--- The most recent idle connection that is still good.
local function good_idle(self, host)
  while host.nidle > 0 do
    local connection = pop_idle(self, host)
    if connection.stream:is_idle() and connection.expires > now() then
      spare(connection.stream, false)
      connection.is_out = true
      self.reused = self.reused + 1
      return connection
    end
    forget(self, connection)
    self.hosts[host.key] = host
  end
end

--- Count out the connections whose responses were collected unread.
local function bury(self)
  self.has_orphans = false
  for connection in pairs(self.all) do
    if connection.is_orphan then forget(self, connection) end
  end
end

-- ---- Waiting -----------------------------------------------------------------------------------

-- A waiter that leaves gives on what it was handed, or is skipped when its turn comes.
local waiter_meta = { __close = function(self)
  local connection, owner = self.connection, self.pool
  self.is_gone = true
  if connection then
    self.connection = nil
    if connection.stream then owner:give(connection, connection.expires) else owner:drop(connection) end
  elseif not self.is_told then
    owner.waiting = owner.waiting - 1
  end
end }

local function first_waiter(self, host)
  while host.first <= host.last do
    local waiter = host.queue[host.first]
    if not waiter.is_gone then return waiter end
    host.queue[host.first] = nil
    host.first = host.first + 1
  end
  self.queues[host] = nil
  tidy(self, host)
end

--- Take the first waiter off and tell it; without a connection it learns that the pool is closed.
local function tell(self, host, connection)
  local waiter = host.queue[host.first]
  host.queue[host.first] = nil
  host.first = host.first + 1
  self.waiting = self.waiting - 1
  waiter.is_told = true
  waiter.connection = connection
  waiter.event:set()
end

--- Who has waited longest for a place that can be had now?
local function next_host(self)
  local best, ticket
  for host in pairs(self.queues) do
    local waiter = first_waiter(self, host)
    if waiter and host.count < self.max_per_host and (not ticket or waiter.ticket < ticket) then
      best, ticket = host, waiter.ticket
    end
  end
  return best
end

--- A place has become free.
local function serve(self)
  if self.has_orphans then bury(self) end
  if not next(self.queues) then return end
  local host = next_host(self)
  while host and has_room(self, host) do
    tell(self, host, new_connection(self, host))
    host = next_host(self)
  end
end

local function wait(self, host)
  local waiter <close> = setmetatable({
    pool = self, ticket = self.ticket, event = eddy.event(), is_gone = false, is_told = false,
  }, waiter_meta)
  self.ticket = self.ticket + 1
  host.last = host.last + 1
  host.queue[host.last] = waiter
  self.queues[host] = true
  self.hosts[host.key] = host
  self.waiting = self.waiting + 1
  waiter.event:wait()
  local connection = waiter.connection
  waiter.connection = nil
  if not connection then return nil, pool.closed_error() end
  connection.is_lent = false
  return connection
end

-- ---- TLS ---------------------------------------------------------------------------------------

--- The TLS context for some settings: made once, so that files are read once and sessions resumed.
---@param key string                 what tells the settings apart
---@param settings table
---@return eddy.tls.Context? context
---@return eddy.Error? err
function Pool:context(key, settings)
  local known = self.contexts[key]
  if known then return known end
  local context, err = tls.context {
    verify = settings.verify, ca = settings.ca, cert = settings.cert, key = settings.key, alpn = ALPN,
  }
  if not context then return nil, err end
  if self.ncontexts == MAX_CONTEXTS then self.contexts, self.ncontexts = {}, 0 end
  self.contexts[key], self.ncontexts = context, self.ncontexts + 1
  return context
end

-- ---- Taking and giving -------------------------------------------------------------------------

--- A connection to an origin: kept, or to be opened by the caller (`stream` is false then).
---@async
---@param key string                 the origin
---@param is_fresh boolean?          not a kept one
---@return eddy.http.Connection?     a to-be-closed value
---@return eddy.Error? err
function Pool:take(key, is_fresh)
  if self.is_closed then return nil, pool.closed_error() end
  if self.has_orphans then bury(self) end
  local host = self.hosts[key] or new_host(self, key)
  if not self.queues[host] or not first_waiter(self, host) then
    if is_fresh then
      if host.nidle > 0 then forget(self, pop_idle(self, host)) end
    else
      local connection = good_idle(self, host)
      if connection then return connection end
    end
    if has_room(self, host) then return new_connection(self, host) end
  end
  return wait(self, host)
end

--- The connection that was used last, where one is idle and nobody waits: the short way. Its stream has
--- not been looked at: that is for `core.http.fetch`.
---@param key string
---@param at number                  the time
---@return eddy.http.Connection?     a to-be-closed value
function Pool:idle(key, at)
  local host = self.hosts[key]
  local n = host and host.nidle or 0
  if n == 0 or self.waiting > 0 then return nil end
  local idle = host.idle
  local connection = idle[n]
  if connection.expires <= at then return nil end
  idle[n] = nil
  host.nidle = n - 1
  self.nidle = self.nidle - 1
  self.reused = self.reused + 1
  connection.is_out = true
  return connection
end

--- The way back: what `core.http.fetch` has set aside.
function Pool:keep(connection, expires)
  if self.waiting > 0 then
    spare(connection.stream, false)
    return self:give(connection, expires)
  end
  local host = connection.host
  local n = host.nidle + 1
  connection.expires, connection.is_out = expires, false
  host.idle[n] = connection
  host.nidle = n
  self.nidle = self.nidle + 1
end

--- A connection that was taken as idle, and was not fit.
function Pool:reject(connection)
  self.reused = self.reused - 1
  self:drop(connection)
end

--- The caller has opened the stream of a connection.
function Pool:open(connection, stream)
  connection.stream = stream
  self.opened = self.opened + 1
end

--- Give back a connection whose last exchange was read to its end.
---@param connection eddy.http.Connection
---@param expires number             when it is not to be used any more
function Pool:give(connection, expires)
  local host = connection.host
  if self.is_closed or not connection.message:is_reusable(connection.stream) then
    return self:drop(connection)
  end
  connection.expires, connection.is_lent = expires, false
  if self.queues[host] and first_waiter(self, host) then
    self.reused = self.reused + 1
    connection.is_lent = true
    return tell(self, host, connection)
  end
  connection.is_out = false
  spare(connection.stream, true)
  self.nidle = self.nidle + 1
  host.nidle = host.nidle + 1
  host.idle[host.nidle] = connection
  if next(self.queues) then serve(self) end
end

--- Close a connection, whatever state it is in.
function Pool:drop(connection)
  if not connection.is_out then return end
  forget(self, connection)
  serve(self)
end

--- The same from a finalizer: counted out when the pool is used next.
function Pool:abandon(connection)
  connection.stream:close()
  connection.is_orphan = true
  self.has_orphans = true
end

---@class eddy.http.PoolStats
---@field opened integer             connections opened
---@field reused integer             requests that found a kept one
---@field closed integer
---@field idle integer
---@field busy integer               in use, or being opened
---@field waiting integer            requests that wait for a place

---@return eddy.http.PoolStats
function Pool:stats()
  if self.has_orphans then bury(self) end
  return {
    opened = self.opened, reused = self.reused, closed = self.closed,
    idle = self.nidle, busy = self.total - self.nidle, waiting = self.waiting,
  }
end

--- Close every connection, busy ones too: their requests fail with kind "closed".
function Pool:close()
  if self.is_closed then return end
  self.is_closed = true
  for _, host in pairs(self.hosts) do
    while host.nidle > 0 do forget(self, pop_idle(self, host)) end
    while first_waiter(self, host) do tell(self, host, nil) end
  end
  for connection in pairs(self.all) do
    if connection.stream then connection.stream:close() end
  end
end

return pool
