-- SPDX-License-Identifier: MIT
--
-- Module "eddy.net": streams over TCP and Unix sockets. Connecting, listening and the streams
-- themselves are C; here targets are taken apart and iterators made.

local core = require "eddy.core"
local native = core.net
local tls = core.tls

if tls then
  require "eddy.tls"   -- adds to core.tls
else
  local function refuse() error("TLS was left out of this build of eddy (TLS=0)", 0) end
  tls = { starter = refuse, listening = refuse }
end

---@class eddy.net
local net = {}

---@class eddy.Stream
---@field read fun(self: eddy.Stream, n: integer?): string?, eddy.Error?           1..n bytes; nil at the end
---@field read_exactly fun(self: eddy.Stream, n: integer): string?, eddy.Error?    "EOF" with `err.partial`
---@field read_until fun(self: eddy.Stream, delimiter: string, max: integer?): string?, eddy.Error?
---@field read_line fun(self: eddy.Stream): string?, eddy.Error?                   without its end
---@field read_all fun(self: eddy.Stream, max: integer?): string?, eddy.Error?
---@field write fun(self: eddy.Stream, ...: string|number): true?, eddy.Error?
---@field shutdown fun(self: eddy.Stream): true?, eddy.Error?                      no more will come from us
---@field close fun(self: eddy.Stream)
---@field is_closed fun(self: eddy.Stream): boolean
---@field is_idle fun(self: eddy.Stream): boolean                                  open, and nothing has come
---@field peername fun(self: eddy.Stream): string?, integer|eddy.Error?            host, port, or a path
---@field sockname fun(self: eddy.Stream): string?, integer|eddy.Error?
---@field handshake fun(self: eddy.Stream): true?, eddy.Error?                     awaits that of TLS
---@field tls_version fun(self: eddy.Stream): string?, string?                     "TLSv1.3", cipher
---@field alpn fun(self: eddy.Stream): string?                                     the protocol agreed on
---@field resumed fun(self: eddy.Stream): boolean                                  an earlier TLS session
---@field peer_certificate fun(self: eddy.Stream): table?                          subject, issuer, names ...
local Stream = native.stream

---@class eddy.Listener
---@field port integer?            of TCP
---@field host string?             of TCP, as digits
---@field path string?             of a Unix socket
---@field accept fun(self: eddy.Listener): eddy.Stream?, eddy.Error?
---@field close fun(self: eddy.Listener)
---@field is_closed fun(self: eddy.Listener): boolean
local Listener = native.listener

---@alias eddy.net.Target string | {host: string?, port: integer?, path: string?, tls: boolean|eddy.tls.Options|eddy.tls.Context|nil}

local function misuse(text, ...) return nil, nil, nil, text:format(...) end

local function from_text(text)
  local path = text:match "^unix:(.+)$"
  if path then return nil, nil, path end
  local host, port = text:match "^%[([^%]]+)%]:(%d+)$"
  if not host then host, port = text:match "^([^:]*):(%d+)$" end
  if not host then return misuse("not a target: %q (\"host:port\" or \"unix:path\" expected)", text) end
  return host, tonumber(port), nil
end

local FIELDS = { host = "string", port = "integer", path = "string", backlog = "integer",
  progress = "userdata" }   -- of core.net.progress: told when the addresses are known
local TLS_TYPES = { boolean = true, table = true, userdata = true }

local function check_field(name, value)
  local kind = math.type(value) == "integer" and "integer" or type(value)
  if name == "tls" then
    if not TLS_TYPES[kind] then return ("option 'tls': boolean or table expected, got %s"):format(kind) end
  elseif kind ~= FIELDS[name] then
    return ("option '%s': %s expected, got %s"):format(name, FIELDS[name], kind)
  end
end

local function from_table(target, has_backlog)
  for name, value in pairs(target) do
    local is_known = FIELDS[name] or name == "tls"
    if not is_known or name == "backlog" and not has_backlog then return misuse("unknown option '%s'", name) end
    local problem = check_field(name, value)
    if problem then return misuse("%s", problem) end
  end
  if target.path and (target.host or target.port) then return misuse "a target has a path, or a host and a port" end
  return target.host, target.port, target.path
end

-- Host, port, path of a target; or three times nil and what is wrong with it.
local function take_apart(target, has_backlog)
  if type(target) == "string" then return from_text(target) end
  if type(target) == "table" then return from_table(target, has_backlog) end
  return misuse("target: string or table expected, got %s", type(target))
end

-- Said here, so that the message has the caller's position.
local function check_host(host)
  if host and host:find("\0", 1, true) then error("not a host name: it contains a zero byte", 3) end
end

local function is_port(port, lowest) return port and port >= lowest and port <= 65535 end

-- The name that an origin has in reports.
local function origin(host, port, path) return path and "unix:" .. path or host .. ":" .. port end

local function open(host, port, path, options, progress)
  local starter, err
  if options then
    starter, err = tls.starter(options, host, origin(host, port, path))
    if not starter then return nil, err end
  end
  local stream
  if path then stream, err = native.connect_unix(path) else stream, err = native.connect(host, port, progress) end
  if not stream or not starter then return stream, err end
  return starter(stream)
end

local function connect(target, options)
  local host, port, path, wrong = take_apart(target)
  if wrong then error(wrong, 3) end
  if options == nil and type(target) == "table" then options = target.tls end
  if path then return open(nil, nil, path, options) end
  if not host or host == "" then error("target without a host", 3) end
  if not is_port(port, 1) then error("not a port: " .. tostring(port), 3) end
  if host:find("\0", 1, true) then error("not a host name: it contains a zero byte", 3) end
  return open(host, port, nil, options, type(target) == "table" and target.progress or nil)
end

--- Open a connection. The name is looked up off the loop; its addresses are raced, the first
--- one to answer wins (RFC 8305). With `tls` (true, options, or a context: see eddy.tls) the stream
--- speaks TLS, its handshake is over, and the certificate of the other side was verified.
---@async
---@param target eddy.net.Target  `"host:port"`, `"[::1]:80"`, `"unix:path"`, `{host=, port=, tls=}`, `{path=}`
---@return eddy.Stream? stream
---@return eddy.Error? err         `op` "resolve", "connect" or "tls"; `code` e.g. "ENOTFOUND", "ECONNREFUSED",
---                                "CERT_EXPIRED"; `suppressed`: the errors of the other addresses
function net.connect(target)
  local stream, err = connect(target)
  return stream, err
end

-- For tls.connect.
function native.connect_tls(target, options)
  local stream, err = connect(target, options)
  return stream, err
end

--- Listen for connections. Port 0 lets the system choose one: `listener.port`. With `tls` (options
--- with `cert` and `key`, or a context: see eddy.tls) the streams that come in speak TLS. A stream
--- shakes hands when it is first read or written, or by `stream:handshake()`: a slow client delays
--- nobody else.
---@param target eddy.net.Target  and `backlog`; host "127.0.0.1" by default, "localhost" is that too
---@return eddy.Listener? listener
---@return eddy.Error? err
function net.listen(target)
  local host, port, path, wrong = take_apart(target, true)
  if wrong then error(wrong, 2) end
  local options = type(target) == "table" and target or {}
  local backlog = options.backlog
  if backlog and (backlog < 1 or backlog > 65535) then error("not a backlog: " .. backlog, 2) end
  if not path and not is_port(port or 0, 0) then error("not a port: " .. tostring(port), 2) end
  check_host(host)
  local context, err
  if options.tls then
    context, err = tls.listening(options.tls)
    if not context then return nil, err end
  end
  if path then return native.listen_unix(path, backlog, context) end
  if not host or host == "" or host == "localhost" then host = "127.0.0.1" end
  return native.listen(host, port or 0, backlog, context)
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
