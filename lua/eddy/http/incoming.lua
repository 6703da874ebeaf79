-- SPDX-License-Identifier: MIT
-- Requests as a handler sees them.
local codec = require "eddy.http.codec"
local core = require "eddy.core"
local headers = require "eddy.http.headers"
local misuse = require "eddy.http.misuse"
local response = require "eddy.http.server_response"

local split_head = core.http.split_head

local incoming = {}

---@class eddy.http.Request
---@field method string
---@field path string                before the "?", still escaped
---@field query string?              behind it, still escaped
---@field target string              as it was sent
---@field headers eddy.http.Headers
---@field body string?               decoded; "" where there is none; nil where the server has `stream`
---@field minor integer              of the peer's HTTP/1.x
---@field remote string?             address of the peer; nil for a Unix socket
---@field remote_port integer?
local Request = {}

--- The next piece of the body: 1 to `n` bytes; nil at its end.
---@async
---@param n integer?
---@return string? bytes
---@return eddy.Error? err           e.g. kind "limit", code `EBODY`
function Request:read(n)
  if not self.body then return self.exchange_:read(n) end
  local at = self.at_ or 1
  if at > #self.body then return nil end
  local piece = self.body:sub(at, n and at + n - 1)
  self.at_ = at + #piece
  return piece
end

--- The rest of the body in one string, at most `max` bytes (default 64 MiB).
---@async
---@param max integer?
---@return string? bytes
---@return eddy.Error? err
function Request:read_all(max)
  local pieces, size = {}, 0
  max = max or 64 * 1024 * 1024
  while true do
    local piece, err = self:read()
    if err then return nil, err end
    if not piece then return table.concat(pieces) end
    size = size + #piece
    if size > max then
      return nil, core.error { kind = "limit", code = "EBODY", op = "read", message = "body above the limit" }
    end
    pieces[#pieces + 1] = piece
  end
end

--- Iterate over the pieces of the body; raises when it fails.
---@async
---@return fun(): string?
function Request:chunks()
  return function()
    local piece, err = self:read()
    if err then error(err, 0) end
    return piece
  end
end

--- The body as JSON. Waits only where the server has `stream`.
---@async
---@return any value
---@return eddy.Error? err           code `EJSON`
function Request:json()
  local text, err = self.body
  if not text then text, err = self:read_all() end
  if not text then return nil, err end
  local value, problem, ok = codec.decode(text)
  if ok then return value end
  return nil, core.error { kind = "protocol", code = "EJSON", op = "request", target = self.target, message = problem }
end

--- Answer piece by piece: `res:write(...)`, `res:close()`. With `length` the answer has that
--- Content-Length, else it is chunked, and gzip where the peer wants that (see `compress` of the server).
---@param options {status: integer?, headers: table?, length: integer?, compress: boolean?}?
---@return eddy.http.ServerResponse
function Request:respond(options)
  if self.response_ then misuse.raise "respond: an answer has begun already" end
  return response.begin(self, options)
end

--- Answer with server-sent events.
---@param options {headers: table?, retry: number?}?
---@return eddy.http.EventStream
function Request:events(options)
  if self.response_ then misuse.raise "events: an answer has begun already" end
  return require "eddy.http.sse".begin(self, options)
end

--- Run `fn(...)` once the answer was handed to the system. The peer's leaving does not cancel it; a
--- stop of the server gives it the same grace as handlers.
---@param fn fun(...)
---@param ... any
function Request:after(fn, ...)
  misuse.check_type("after", fn, "function")
  self.exchange_:hold()
  self.after_ = self.after_ or {}
  table.insert(self.after_, table.pack(fn, ...))
end

--- Does the peer ask for another protocol (see `headers.upgrade`)?
---@return boolean
function Request:wants_upgrade()
  return self.exchange_:wants_upgrade()
end

--- Answer 101 with these headers and take the connection over: what a WebSocket needs.
---@param fields table<string, eddy.http.Value>  `Upgrade` at least
---@return eddy.Stream? stream       with whatever came behind the request; close it yourself
---@return eddy.Error? err
function Request:upgrade(fields)
  if self.response_ then misuse.raise "upgrade: an answer has begun already" end
  local lines = response.lines(fields) .. "Connection: Upgrade\r\n"
  local stream, err = self.exchange_:upgrade(lines)
  if not stream then return nil, err end
  self.response_, self.status_ = true, 101
  return stream
end

incoming.methods = Request

local function remote(self)
  local host, port = self.exchange_:peer()
  rawset(self, "remote", host)
  rawset(self, "remote_port", port)
end

-- What a handler may never look at is made when it does.
local lazy = {
  headers = function(self) rawset(self, "headers", headers.parse(self.head_)) end,
  remote = remote, remote_port = remote,
}

local FIRST_LINE = { "method", "target", "path", "query", "minor" }

--- What a handler has set itself stays.
local function first_line(self)
  local values = { split_head(self.head_) }
  for i, name in ipairs(FIRST_LINE) do
    if rawget(self, name) == nil then rawset(self, name, values[i]) end
  end
end

for _, name in ipairs(FIRST_LINE) do lazy[name] = first_line end

local function index(self, key)
  local method = Request[key]
  if method then return method end
  local make = lazy[key]
  if not make then return nil end
  make(self)
  return rawget(self, key)
end

local no_headers = headers.parse "\r\n\r\n"

--- A request that was refused before anybody could read it, for the log: what is not known is "".
---@param line string                its first line, as far as it came
---@param host string?
---@param port integer?
function incoming.refused(line, host, port)
  local method, target = line:match "^(%S+) ([\x21-\x7e]*)"
  if not method or not core.http.is_token(method) then method, target = "", "" end
  local path, query = target:match "^([^?]*)%??(.*)$"
  return setmetatable({
    method = method, target = target, path = path, query = query ~= "" and query or nil, headers = no_headers, body = "",
    minor = 1, remote = host, remote_port = port,
  }, { __name = "eddy.http.Request" })
end

--- The metatable of requests: `{exchange_=, head_=, body=}`, as server:dispatch gives them, and `compress_`, the
--- eddy.http.Compression of the server.
incoming.meta = { __name = "eddy.http.Request", __index = index }

return incoming
