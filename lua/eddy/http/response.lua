-- SPDX-License-Identifier: MIT
-- Responses. What most scripts never look at (headers, version, timings) is made when it is asked
-- for. A response that is read in pieces owns its connection until its last byte was read, it
-- is closed, or it is collected.
local eddy = require "eddy"
local core = require "eddy.core"
local codec = require "eddy.http.codec"
local decode = require "eddy.http.decode"
local errors = require "eddy.http.errors"
local headers = require "eddy.http.headers"
local misuse = require "eddy.http.misuse"

local read_body = core.http.read_body
local now, within = eddy.now, eddy.within

local MAX_LINE = 1024 * 1024

local response = {}

---@class eddy.http.Response
---@field status integer
---@field ok boolean                       status 200 to 299
---@field headers eddy.http.Headers
---@field url string                       the final one
---@field version string                   "1.1"
---@field body string?                     nil when read in pieces
---@field reused boolean                   came over a kept connection
---@field redirects {status: integer, url: string}[]
---@field trailers eddy.http.Headers?      once the body was read to its end
---@field timings {dns: number?, connect: number?, tls: number?, first_byte: number, total: number}
---@field package phase_ string
local Response = { reused = true }   -- where the object does not say otherwise

local lazy = {
  headers = function(self) return headers.parse(self.head_, self.decoded_) end,
  trailers = function(self) return self.ended_ and headers.parse(self.trailers_ or "\r\n\r\n") or nil end,
  version = function(self) return self.head_:sub(6, 8) end,
  redirects = function(self) return self.hops_ or {} end,
  timings = function(self)
    local began = self.began_
    return {
      dns = self.resolved_ and self.resolved_ - began,
      tls = self.secured_ and self.secured_ - began,
      connect = self.connected_ and self.connected_ - began,
      first_byte = self.first_ - began,
      total = self.ended_ and self.ended_ - began,
    }
  end,
}

local function index(self, key)
  local common = Response[key]
  if common then return common end
  local make = lazy[key]
  if not make then return nil end
  local value = make(self)
  if key ~= "timings" and key ~= "trailers" or self.ended_ then rawset(self, key, value) end
  return value
end

local function to_text(self)
  return ("HTTP response %d from %s"):format(self.status, self.url)
end

local function failure(self, kind, code, message)
  return nil, core.error {
    kind = kind, code = code, op = "response", target = self.url, message = message, response = self,
  }
end

--- The response itself if its status is one of these (2xx if none is given), else `nil, err` with
--- code `HTTP_404` or whatever it is, and the response as `err.response`.
---@param ... integer
---@return eddy.http.Response? response
---@return eddy.Error? err
function Response:expect(...)
  local n, status = select("#", ...), self.status
  if n == 0 and self.ok then return self end
  for i = 1, n do
    if select(i, ...) == status then return self end
  end
  return failure(self, "protocol", "HTTP_" .. status, ("unexpected status %d"):format(status))
end

--- The body as JSON.
---@return any value
---@return eddy.Error? err               code `EJSON`
function Response:json()
  if not self.body then misuse.raise "json: the body is read in pieces; use read_all" end
  local value, problem, ok = codec.decode(self.body)
  if not ok then return failure(self, "protocol", "EJSON", problem) end
  return value
end

-- ---- In pieces ---------------------------------------------------------------------------------

--- The connection goes back if it can be used again.
local function finish(self)
  local connection = self.connection_
  self.connection_ = nil
  self.ended_ = self.ended_ or now()
  if connection then connection.pool:give(connection, now() + self.keep_seconds_) end
end

--- One piece as it came, inside the deadline and the time that the peer may be silent.
local function read_in_time(self, n)
  local connection = self.connection_
  local left = self.deadline_ - now()
  local idle = self.idle_ or math.huge
  local in_time, bytes, err, trailers = within(math.min(left, idle), read_body, connection.stream, connection.message, n)
  if in_time then
    self.trailers_ = trailers
    return bytes, err
  end
  return nil, (idle < left and errors.silent or errors.timed_out)("body", self.url)
end

local function fail(self, err)
  err.target = self.url
  self.failure_ = err
  self:close()
  return nil, err
end

--- The next piece as it came; nil at the end, nil, err when it fails.
local function read_raw(self, n)
  if not self.connection_ then return nil end
  local bytes, err = read_in_time(self, n)
  if bytes then return bytes end
  if err then return fail(self, err) end
  finish(self)
  return nil
end

--- Cut off at most `n` bytes of what is decoded but not delivered.
local function take_pending(self, n)
  local pending = self.pending_
  if not n or n >= #pending then
    self.pending_ = ""
    return pending
  end
  self.pending_ = pending:sub(n + 1)
  return pending:sub(1, n)
end

local function read_decoded(self, n)
  while self.pending_ == "" do
    if not self.connection_ then return nil end
    local bytes, err = read_raw(self)
    if err then return nil, err end
    if bytes then bytes, err = self.decoder_:feed(bytes) else err = select(2, self.decoder_:finish()) end
    if err then return fail(self, err) end
    self.pending_ = bytes or ""
  end
  return take_pending(self, n)
end

--- The next piece of the body: 1 to `n` bytes; nil at its end.
---@async
---@param n integer?
---@return string? bytes
---@return eddy.Error? err
function Response:read(n)
  if not self.is_stream_ then misuse.raise "read: not a stream response; its body is in 'body'" end
  if n ~= nil then
    misuse.check_number("n", n)
    if n < 1 then misuse.raise "n: must be above 0" end
  end
  if self.failure_ then return nil, self.failure_ end
  if self.decoder_ then return read_decoded(self, n) end
  return read_raw(self, n)
end

--- The rest of the body in one string.
---@async
---@return string? bytes
---@return eddy.Error? err
function Response:read_all()
  local pieces = {}
  while true do
    local piece, err = self:read()
    if err then return nil, err end
    if not piece then return table.concat(pieces) end
    pieces[#pieces + 1] = piece
  end
end

local function next_chunk(self)
  local piece, err = self:read()
  if err then error(err, 0) end
  return piece
end

--- Iterate over the pieces of the body; raises when it fails.
---@async
---@return fun(): string?
function Response:chunks()
  return next_chunk, self
end

--- Cut the first line off what is kept in `state`.
local function cut_line(state)
  local from, to = state.text:find("\r?\n", state.at)
  if not from then return nil end
  local line = state.text:sub(state.at, from - 1)
  state.at = to + 1
  return line
end

local function too_long(self)
  local _, err = failure(self, "limit", "ELINE", "line above 1 MiB")
  self.failure_ = err
  self:close()
  error(err, 0)
end

--- Iterate over the lines of the body, without their ends; raises when it fails.
---@async
---@return fun(): string?
function Response:lines()
  local state = { text = "", at = 1 }
  return function()
    while state do
      local line = cut_line(state)
      if line then return line end
      local rest = state.text:sub(state.at)
      if #rest > MAX_LINE then too_long(self) end
      local piece = next_chunk(self)
      if piece then
        state.text, state.at = rest .. piece, 1
      else
        state = nil
        return rest ~= "" and rest or nil
      end
    end
  end
end

--- Give the connection up, if the body was not read to its end. Never fails, can be repeated.
function Response:close()
  local connection = self.connection_
  if not connection then return end
  if connection.message:is_reusable(connection.stream) then return finish(self) end
  self.connection_ = nil
  connection.pool:drop(connection)
end

--- Nobody holds the response any more. A finalizer runs in the middle of anything, so the pool is
--- only told.
local function collect(self)
  local connection = self.connection_
  if connection then connection.pool:abandon(connection) end
end

response.methods = Response

-- ---- Made by the client ------------------------------------------------------------------------

local whole_meta = { __name = "eddy.http.Response", __index = index, __tostring = to_text, __close = Response.close }
local pieces_meta = {
  __name = "eddy.http.Response", __index = index, __tostring = to_text,
  __close = Response.close, __gc = collect,
}

--- What a request fills as it goes: the response in the end.
function response.new(began)
  return setmetatable({
    status = 0, ok = false, url = false, body = false, reused = false, head_ = false,
    phase_ = "pool", began_ = began, first_ = 0, ended_ = 0, connection_ = nil,
  }, whole_meta)
end

--- One that is there at once, whole, over a kept connection.
function response.whole(status, url, head, body, began, first, ended)
  return setmetatable({
    status = status, ok = status >= 200 and status < 300, url = url, body = body, head_ = head, began_ = began,
    first_ = first, ended_ = ended,
  }, whole_meta)
end

--- The response keeps its connection: its body is read in pieces.
function response.keep(self, connection, deadline, idle)
  self.body, self.ended_ = nil, nil
  self.is_stream_, self.deadline_, self.idle_ = true, deadline, idle
  self.connection_, connection.is_lent = connection, true
  return setmetatable(self, pieces_meta)
end

--- Before the next exchange of the same job: forget the answer.
function response.renew(self)
  self:close()
  self.headers, self.connection_, self.is_stream_, self.trailers_, self.trailers = nil, nil, nil, nil, nil
  self.ended_ = 0
end

--- Where a request is, for the errors that say so.
function Response:phase_now_()
  local phase = self.phase_
  if phase == "exchange" then
    phase = self.message_:phase()
    if phase ~= "done" and phase ~= "idle" then return phase end
    return self.ended_ == 0 and "write" or "body"   -- not begun, or all there and being decoded
  end
  if phase == "connect" and self.progress_ and not core.net.resolved(self.progress_) then return "resolve" end
  return phase
end

local CODED = "\n[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Ee][Nn][Cc][Oo][Dd][Ii][Nn][Gg]:"

--- Undo the codings of the body: at once, or as it is read. Its headers do not tell of them then.
---@async
---@return eddy.http.Response? response
---@return eddy.Error? err
function response.decode(self, plan)
  local settings = plan.settings
  if settings.decode == false or self.body == "" or not self.head_:find(CODED) then return self end
  local decoder = decode.new(table.concat(self.headers:all "content-encoding", ","), settings.max_body, settings.max_ratio)
  if not decoder then return self end
  self.headers, self.decoded_ = nil, true
  if self.is_stream_ then
    self.decoder_, self.pending_ = decoder, ""
    return self
  end
  local guard <close> = decoder   -- luacheck: ignore 211
  local bytes, err = decoder:all(self.body)
  if not bytes then
    err.target = self.url
    return nil, err
  end
  self.body = bytes
  return self
end

return response
