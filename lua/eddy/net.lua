-- SPDX-License-Identifier: MIT
--
-- Module "eddy.net": streams over TCP and Unix sockets. Connecting, listening and the streams
-- themselves are C; here targets are taken apart and iterators made.

local core = require "eddy.core"
local native = core.net

---@class eddy.net
local net = {}

---@class eddy.Stream
---@field read fun(self: eddy.Stream, n: integer?): string?, eddy.Error?
---@field read_exactly fun(self: eddy.Stream, n: integer): string?, eddy.Error?
---@field read_until fun(self: eddy.Stream, delimiter: string, max: integer?): string?, eddy.Error?
---@field read_all fun(self: eddy.Stream, max: integer?): string?, eddy.Error?
---@field write fun(self: eddy.Stream, ...: string|number): true?, eddy.Error?
---@field shutdown fun(self: eddy.Stream): true?, eddy.Error?
---@field close fun(self: eddy.Stream)
local Stream = native.stream

---@class eddy.Listener
---@field port integer?
---@field accept fun(self: eddy.Listener): eddy.Stream?, eddy.Error?
---@field close fun(self: eddy.Listener)
local Listener = native.listener

---@alias eddy.net.Target string | {host: string?, port: integer?, path: string?}

local function misuse(text) error(text, 4) end

local function from_text(text)
  local path = text:match "^unix:(.+)$"
  if path then return nil, nil, path end
  local host, port = text:match "^%[([^%]]+)%]:(%d+)$"
  if not host then host, port = text:match "^([^:]*):(%d+)$" end
  if not host then misuse(("not a target: %q (\"host:port\" or \"unix:path\" expected)"):format(text)) end
  return host, math.tointeger(tonumber(port))
end

-- Host, port, path of a target; raises at the caller's caller for anything else.
local function take_apart(target)
  if type(target) == "string" then return from_text(target) end
  if type(target) ~= "table" then misuse("target: string or table expected, got " .. type(target)) end
  if target.tls then misuse "not yet: tls" end
  if target.path ~= nil and type(target.path) ~= "string" then misuse "target.path: string expected" end
  if target.path then return nil, nil, target.path end
  if target.host ~= nil and type(target.host) ~= "string" then misuse "target.host: string expected" end
  if target.port ~= nil and math.type(target.port) ~= "integer" then misuse "target.port: integer expected" end
  return target.host, target.port
end

local function check_port(port, lowest)
  if not port or port < lowest or port > 65535 then misuse("not a port: " .. tostring(port)) end
end

--- Open a connection. The name is looked up off the loop; its addresses are raced, the first
--- one to answer wins (RFC 8305).
---@async
---@param target eddy.net.Target  `"host:port"`, `"[::1]:80"`, `"unix:path"`, `{host=, port=}`, `{path=}`
---@return eddy.Stream? stream
---@return eddy.Error? err         `op` "resolve" or "connect"; `code` e.g. "ENOTFOUND", "ECONNREFUSED"
function net.connect(target)
  local host, port, path = take_apart(target)
  if path then return native.connect_unix(path) end
  if not host or host == "" then misuse "target without a host" end
  check_port(port, 1)
  return native.connect(host, port)
end

--- Listen for connections. Port 0 lets the system choose one: `listener.port`.
---@param target eddy.net.Target  and `backlog`; host "127.0.0.1" by default, "localhost" is that too
---@return eddy.Listener? listener
---@return eddy.Error? err
function net.listen(target)
  local host, port, path = take_apart(target)
  local backlog = type(target) == "table" and target.backlog or nil
  if path then return native.listen_unix(path, backlog) end
  check_port(port or 0, 0)
  if not host or host == "" or host == "localhost" then host = "127.0.0.1" end
  return native.listen(host, port or 0, backlog)
end

--- Iterate over the lines, without their ends (LF or CRLF); a last line without one counts.
--- Raises the error object when the connection fails or a line is longer than 1 MiB.
---@async
---@return fun(): string?
function Stream:lines()
  return function()
    local line, err = self:read_line()
    if err then error(err, 0) end
    return line
  end
end

--- Iterate over the connections that come in; ends when the listener is closed.
---@async
---@return fun(): eddy.Stream?
function Listener:incoming()
  return function()
    local stream, err = self:accept()
    if err and not core.is(err, "closed") then error(err, 0) end
    return stream
  end
end

return net
