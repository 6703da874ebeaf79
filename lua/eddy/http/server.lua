-- SPDX-License-Identifier: MIT
-- A small HTTP/1.1 server: one task accepts, one task serves each connection, requests in order.
-- Bad input is answered once and its connection closed, as RELIABILITY's limits want it.
--
-- A watchman task looks at all connections once a second and closes those whose peer keeps us
-- waiting: that costs less than a deadline for each request.
local eddy = require "eddy"
local core = require "eddy.core"
local net = require "eddy.net"
local misuse = require "eddy.http.misuse"
local reply = require "eddy.http.reply"
local incoming = require "eddy.http.incoming"

local read_request, new_message = core.http.read_request, core.http.message

local server = {}

local IDLE, HEAD, BODY = 60, 10, 60   -- seconds that a peer may take for each
local MAX_BODY = 1024 * 1024
local STUCK = 60                      -- seconds that a write may take
local LINGER = 1                      -- seconds to let a refused peer read why

---@class eddy.http.Server
---@field port integer
---@field host string
local Server = {}
Server.__index = Server
Server.__name = "eddy.http.Server"

-- ---- One request -------------------------------------------------------------------------------

--- Write and say whether that worked.
local function write(connection, ...)
  connection.is_writing = true
  local ok = connection.stream:write(...)
  connection.is_writing = false
  return ok
end

--- Answer what was refused; let the peer read it before the connection goes.
local function refuse(connection, status)
  if not write(connection, reply.refusal(status)) then return end
  local stream = connection.stream
  stream:shutdown()
  eddy.within(LINGER, function()
    repeat until not stream:read()
  end)
end

--- Send a body that comes from an iterator, chunked, or until close where the peer is older.
local function write_pieces(connection, answer, minor)
  local is_chunked = minor == 1
  if not write(connection, answer.head) then return false end
  for piece in answer.body do
    misuse.check_type("body", piece, "string")
    if piece ~= "" and not write(connection, is_chunked and core.http.chunk(piece) or piece) then return false end
  end
  return not is_chunked or write(connection, "0\r\n\r\n")
end

local function report(self, err)
  if not self.on_error then return core.report(err) end
  local ok, problem = eddy.pcall(self.on_error, err)
  if not ok then core.report(problem) end
end

local function handle(handler, req, keep)
  return reply.make(req, keep, handler(req))
end

--- Run the handler and make its answer; what goes wrong there is a 500.
local function answer_of(self, req, keep)
  local ok, answer, err = eddy.pcall(handle, self.handler, req, keep)
  if ok and answer then return answer end
  report(self, ok and err or answer)
  return reply.make(req, keep, 500)
end

--- One request with its body, or nil when the connection is to be closed.
local function next_request(self, connection)
  local stream, message = connection.stream, connection.message
  local method, target, path, query, minor, keep, head, body = read_request(stream, message, self.max_body)
  if method and not body then
    if not write(connection, "HTTP/1.1 100 Continue\r\n\r\n") then return nil end
    method, target, path, query, minor, keep, head, body = read_request(stream, message, self.max_body)
  end
  if not method then
    if path then refuse(connection, path) end   -- nil, err, status
    return nil
  end
  return incoming.new(method, target, path, query, minor, head, body), keep
end

--- Send an answer; false: nothing can follow on this connection.
local function send(self, connection, req, answer)
  if type(answer.body) ~= "function" then
    return write(connection, answer.head, answer.body) and answer.keep
  end
  local ok, sent = eddy.pcall(write_pieces, connection, answer, req.minor)
  if not ok then report(self, sent) end   -- half an answer cannot be repaired
  return ok and sent and answer.keep
end

local function serve_one(self, connection)
  local req, keep = next_request(self, connection)
  if not req then return false end
  connection.is_busy = true
  local answer = answer_of(self, req, keep and not self.is_stopping)
  local ok = send(self, connection, req, answer)
  connection.is_busy = false
  return ok and not self.is_stopping
end

-- ---- Connections -------------------------------------------------------------------------------

local connection_meta = { __close = function(connection)
  connection.server.connections[connection] = nil
  connection.stream:close()
end }

local function serve_connection(self, connection)
  local guard <close> = connection
  repeat until not serve_one(self, connection)
end

local function accept_one(self, stream)
  if eddy.cancelled() then return stream:close() end   -- a task for it would never run
  local connection = setmetatable({
    server = self, stream = stream, message = new_message(), is_busy = false, is_writing = false, stuck = 0,
  }, connection_meta)
  self.connections[connection] = true
  eddy.spawn(serve_connection, self, connection)
end

local function is_overdue(connection)
  connection.stuck = connection.is_writing and connection.stuck + 1 or 0
  return connection.stuck > STUCK or connection.message:is_overdue(IDLE, HEAD, BODY)
end

local function watch(self)
  while not self.is_stopping do
    eddy.sleep(1)
    for connection in pairs(self.connections) do
      if is_overdue(connection) then connection.stream:close() end
    end
  end
end

local function accept_all(self)
  local guard <close> = self.listener
  local watchman = eddy.spawn(watch, self)
  while not self.is_stopping do
    local stream, err = self.listener:accept()
    if stream then accept_one(self, stream)
    elseif err.kind == "closed" then break
    else   -- no descriptors left, most likely: some connection will end
      report(self, err)
      eddy.sleep(0.1)
    end
  end
  watchman:cancel()
end

-- ---- The server --------------------------------------------------------------------------------

---@class eddy.http.ServeOptions
---@field handler fun(req: eddy.http.Request): ...  returns `status, headers, body`, a table, or a string
---@field host string?               default "127.0.0.1"
---@field port integer?              default 0: any free one
---@field on_error fun(err: any)?    what handlers raise; default: `config.on_error`
---@field max_body integer?          bytes of a request's body; default 1 MiB

local OPTIONS = { handler = "function", host = "string", port = "number", on_error = "function", max_body = "number" }

local function check_options(options)
  misuse.check_type("options", options, "table")
  for name, value in pairs(options) do
    if not OPTIONS[name] then misuse.raise("unknown option '%s'", tostring(name)) end
    misuse.check_type(name, value, OPTIONS[name])
  end
  misuse.check_type("handler", options.handler, "function")
end

--- Serve requests: listens at once, and runs in a task of the caller's current block.
---@async
---@param options eddy.http.ServeOptions
---@return eddy.http.Server? server
---@return eddy.Error? err
function server.serve(options)
  check_options(options)
  local host = options.host or "127.0.0.1"
  local listener, err = net.listen { host = host, port = options.port or 0 }
  if not listener then return nil, err end
  local self = setmetatable({
    host = host, port = listener.port, listener = listener, handler = options.handler,
    on_error = options.on_error, max_body = options.max_body or MAX_BODY,
    connections = {}, is_stopping = false,
  }, Server)
  self.task = eddy.spawn(accept_all, self)
  return self
end

local function is_busy(connection)
  return connection.is_busy or connection.message:has_begun()
end

local function close_connections(self, which)
  for connection in pairs(self.connections) do
    if which == "all" or not is_busy(connection) then connection.stream:close() end
  end
end

--- Stop: no new connections, idle ones are closed; requests that are being served have `grace`
--- seconds (default 0) to end.
---@async
---@param grace number?
function Server:stop(grace)
  if grace ~= nil then misuse.check_number("grace", grace) end
  self.is_stopping = true
  self.listener:close()
  close_connections(self, "idle")
  if grace and grace > 0 then eddy.within(grace, self.task.join, self.task) end
  self:close()
  self.task:join()
end

--- Stop at once, without waiting. Never fails, can be repeated.
function Server:close()
  self.is_stopping = true
  self.listener:close()
  self.task:cancel()
  close_connections(self, "all")
end

Server.__close = Server.close

return server
