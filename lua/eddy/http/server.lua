-- SPDX-License-Identifier: MIT
-- The HTTP/1.1 server: options, the task of each request, stopping. Connections, framing, limits and
-- times are in C (csrc/io/http_server.h); a task exists only while a handler runs.
--
-- Cancellation: a peer that leaves (or half-closes) cancels the handler that waits for it. Errors: a
-- handler that raises is reported and answered 500 without detail; behind the head the connection is cut,
-- so that half an answer never looks whole. Times are looked at once a second.
local eddy = require "eddy"
local core = require "eddy.core"
local net = require "eddy.net"
local compress = require "eddy.http.compress"
local incoming = require "eddy.http.incoming"
local misuse = require "eddy.http.misuse"
local response = require "eddy.http.server_response"

local request_meta, send_answer, pcall = incoming.meta, response.send, eddy.pcall
local answer, setmetatable, raw_pcall = core.http.answer, setmetatable, _G.pcall

local server = {}

local CLOSED = 499   -- in the log: the connection was closed before there was an answer

---@class eddy.http.Server
---@field port integer?
---@field host string?
local Server = {}
Server.__index = Server
Server.__name = "eddy.http.Server"

-- ---- One request -------------------------------------------------------------------------------

local function report(self, err)
  if not self.on_error then return core.report(err) end
  local ok, problem = pcall(self.on_error, err)
  if not ok then core.report(problem) end
end

--- What a handler raised: a 500, or the end of the connection when its answer has begun.
local function fail(self, req, err)
  report(self, err)
  local exchange = req.exchange_
  if exchange:has_begun() then return exchange:cut() end
  req.status_ = 500
  exchange:respond(500, "")
end

local function run_after(self, req)
  for _, job in ipairs(req.after_) do
    local ok, err = pcall(table.unpack(job, 1, job.n))
    if not ok then report(self, err) end
  end
end

local function log(self, req, status, bytes, seconds)
  local ok, err = pcall(self.log, req, status, bytes, seconds)
  if not ok then report(self, err) end
end

local function log_answer(self, req, began)
  local res = req.response_
  local is_stream = type(res) == "table"
  log(self, req, is_stream and res.status or req.status_ or 500, is_stream and res.bytes or req.bytes_ or 0,
    eddy.now() - began)
end

--- The handler was cancelled, and what was said to its peer, if anything, was said for it.
local function log_cancelled(self, req, began, err)
  local has_begun = req.exchange_:has_begun()
  if has_begun == false then req.status_ = self.is_stopping and 503 or 500
  elseif not req.status_ then req.status_ = err.reason == "timeout" and 504 or CLOSED end
  log_answer(self, req, began)
end

--- What no handler saw.
local function log_refused(self)
  local native = self.native
  local status, bytes, seconds, line, host, port = native:refused()
  while status do
    log(self, incoming.refused(line, host, port), status, bytes, seconds)
    status, bytes, seconds, line, host, port = native:refused()
  end
end

--- What is left where the handler has failed, or what it returned was not of the usual form, or
--- there is more to do than to answer.
local function conclude(self, req, began, ok, ...)
  local err = ...
  if ok then ok, err = raw_pcall(send_answer, req, ...) end
  if not ok and core.cancels(err) then
    if began then log_cancelled(self, req, began, err) end
    error(err, 0)
  end
  if not ok then fail(self, req, err) end
  if began then log_answer(self, req, began) end
  if req.after_ then run_after(self, req) end
end

--- The function that each request's task runs.
local function runner(self)
  local handler, has_log, compression = self.handler, self.log ~= nil, self.compression
  local most = compress.most_uncoded(compression)
  return function(exchange, head, body)
    local req = setmetatable({ exchange_ = exchange, head_ = head, body = body, compress_ = compression }, request_meta)
    local _ = has_log and req.remote   -- known as long as its connection is ours
    if has_log then return conclude(self, req, eddy.now(), raw_pcall(handler, req)) end
    local ok, status, fields, content = raw_pcall(handler, req)
    if ok and answer(exchange, status, fields, content, most) then return end
    conclude(self, req, nil, ok, status, fields, content)
  end
end

-- ---- The server's own task ---------------------------------------------------------------------

local function watch(native)
  while native:await_connections() do
    eddy.sleep(1)
    native:sweep()
  end
end

local function main(self)
  local native <close> = self.native
  local watchman = eddy.spawn(watch, native)
  local run = runner(self)
  local has_log = self.log ~= nil
  if has_log then log_refused(self) end   -- from now on they are kept
  while native:dispatch(run) do
    if has_log then log_refused(self) end
  end
  if has_log then log_refused(self) end
  watchman:cancel()
end

-- ---- Options -----------------------------------------------------------------------------------

---@class eddy.http.ServeOptions
---@field handler fun(req: eddy.http.Request): ...  returns `status, headers, body`, a table, or a string
---@field host string?               default "127.0.0.1"
---@field port integer?              default 0: any free one
---@field path string?               a Unix socket instead
---@field tls table?                 as `eddy.net.listen` takes it
---@field backlog integer?
---@field on_error fun(err: any)?    what handlers raise; default: `config.on_error`
---@field log fun(req: eddy.http.Request, status: integer, bytes: integer, seconds: number)?  when a request is over; should not wait
---@field compress (boolean|eddy.http.CompressOptions)?  default true: gzip for peers that want it, where it pays
---@field stream boolean?            start handlers behind the head; they read the body in pieces
---@field max_body integer?          bytes of a request's body: 413. Default 1 MiB; unlimited with `stream`
---@field max_line integer?          bytes of a line of the head: 414 or 431. Default 8 KiB
---@field max_head integer?          bytes of a head: 431. Default 32 KiB
---@field max_fields integer?        fields of a head: 431. Default 100, at most 1000
---@field max_extension integer?     bytes of the extensions of a chunk: 431. Default 256
---@field max_trailers integer?      bytes of the trailers of a chunked body: 431. Default 16 KiB
---@field max_connections integer?   more are closed at once. Default 10 000
---@field header_timeout number?     seconds for a head: 408. Default 10
---@field handshake_timeout number?  seconds for that of TLS; then the connection is closed. Default 10
---@field idle_timeout number?       seconds without a request. Default 60
---@field body_timeout number?       seconds after which a body must have come with `min_rate`: 408. Default 30
---@field min_rate number?           bytes per second. Default 64
---@field write_timeout number?      seconds in which the peer takes nothing. Default 60
---@field timeout number?            seconds until a handler begins its answer: 504. Default 30
---@field linger number?             seconds in which a peer may read why it is closed. Default 2

local OPTIONS = {
  handler = "function", host = "string", port = "number", path = "string", tls = "table", backlog = "number",
  on_error = "function", log = "function", stream = "boolean",
}
local ELSEWHERE = { compress = true }   -- checked by whom they concern

local LIMITS = {
  max_body = 1024 * 1024, max_line = 8192, max_head = 32768, max_fields = 100, max_extension = 256, max_trailers = 16384,
  max_connections = 10000,
  header_timeout = 10, handshake_timeout = 10, idle_timeout = 60, body_timeout = 30, min_rate = 64, write_timeout = 60, timeout = 30,
  linger = 2,
}

local function check_options(options)
  misuse.check_type("options", options, "table")
  for name, value in pairs(options) do
    if LIMITS[name] then
      misuse.check_number(name, value)
      if value < 0 then misuse.raise("%s: must not be negative", name) end
    elseif OPTIONS[name] then misuse.check_type(name, value, OPTIONS[name])
    elseif not ELSEWHERE[name] then misuse.raise("unknown option '%s'", tostring(name)) end
  end
  misuse.check_type("handler", options.handler, "function")
end

local function limits_of(options)
  local limits = { stream = options.stream }
  for name, default in pairs(LIMITS) do limits[name] = options[name] or default end
  if options.stream and not options.max_body then limits.max_body = math.huge end
  return limits
end

local function listen(options)
  local target = { path = options.path, tls = options.tls, backlog = options.backlog }
  if not options.path then target.host, target.port = options.host or "127.0.0.1", options.port or 0 end
  return net.listen(target)
end

-- ---- Public ------------------------------------------------------------------------------------

--- Serve requests: listens at once, and runs in a task of the caller's current block.
---@async
---@param options eddy.http.ServeOptions
---@return eddy.http.Server? server
---@return eddy.Error? err
function server.serve(options)
  check_options(options)
  local compression = compress.settings(options.compress)
  local listener, err = listen(options)
  if not listener then return nil, err end
  local self = setmetatable({
    host = listener.host, port = listener.port, path = listener.path, handler = options.handler,
    on_error = options.on_error, log = options.log, compression = compression,
    native = core.http.server(listener, limits_of(options)),
  }, Server)
  self.task = eddy.spawn(main, self)
  return self
end

--- Counts: `connections busy accepted refused requests responses rejected timed_out aborted`.
---@return table<string, integer>
function Server:stats() return self.native:stats() end

--- Stop: no new connections, idle ones are closed; requests that are being served, and what runs
--- after them, have `grace` seconds (default 0) to end; then they are cancelled.
---@async
---@param options {grace: number?}|number?
function Server:stop(options)
  local grace = options
  if type(options) == "table" then grace = options.grace end
  if grace ~= nil then misuse.check_number("grace", grace) end
  self.is_stopping = true
  self.native:stop()
  if grace and grace > 0 then eddy.within(grace, self.task.join, self.task) end
  self:close()
  self.task:join()
end

--- Stop at once, without waiting. Never fails, can be repeated.
function Server:close()
  self.native:close()
  self.task:cancel()
end

Server.__close = Server.close

return server
