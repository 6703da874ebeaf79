-- SPDX-License-Identifier: MIT
-- Responses. What most scripts never look at (headers, version, timings) is made when it is asked
-- for. A response that is read in pieces owns its connection until its last byte was read, it
-- is closed, or it is collected.
local eddy = require "eddy"
local core = require "eddy.core"
local codec = require "eddy.http.codec"
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
---@field timings {connect: number?, first_byte: number, total: number}
local Response = {}

local lazy = {
  headers = function(self) return headers.parse(self.head_) end,
  version = function(self) return self.head_:sub(6, 8) end,
  redirects = function(self) return self.hops_ or {} end,
  timings = function(self)
    local began = self.began_
    return {
      connect = self.connected_ and self.connected_ - began,
      first_byte = self.first_ - began,
      total = self.ended_ and self.ended_ - began,
    }
  end,
}

local function index(self, key)
  local method = Response[key]
  if method then return method end
  local make = lazy[key]
  if not make then return nil end
  local value = make(self)
  if key ~= "timings" or self.ended_ then rawset(self, key, value) end
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
  if connection then connection.pool:give(connection, now() + connection.pool.keep_alive) end
end

local function read_in_time(self, n)
  local connection = self.connection_
  local left = self.deadline_ - now()
  local in_time, bytes, err = within(left, read_body, connection.stream, connection.message, n)
  if in_time then return bytes, err end
  return nil, core.error {
    kind = "timeout", code = "ETIMEDOUT", op = "body", target = self.url, message = "the request took too long",
  }
end

--- The next piece of the body: 1 to `n` bytes; nil at its end.
---@async
---@param n integer?
---@return string? bytes
---@return eddy.Error? err
function Response:read(n)
  if not self.is_stream_ then misuse.raise "read: not a stream response; its body is in 'body'" end
  if n ~= nil then misuse.check_number("n", n) end
  if self.failure_ then return nil, self.failure_ end
  if not self.connection_ then return nil end
  local bytes, err = read_in_time(self, n)
  if bytes then return bytes end
  if err then
    self.failure_ = err
    self:close()
    return nil, err
  end
  finish(self)
  return nil
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

--- The response keeps its connection: its body is read in pieces.
function response.keep(self, connection, deadline)
  self.body, self.ended_ = nil, nil
  self.is_stream_, self.deadline_ = true, deadline
  self.connection_, connection.is_lent = connection, true
  return setmetatable(self, pieces_meta)
end

return response
