-- SPDX-License-Identifier: MIT
--
-- Module "eddy.tls": TLS over any stream, for clients and servers. The engine is C (csrc/proto/tls,
-- csrc/io/tls); here options are checked, contexts are made and kept, and streams are wrapped.
--
-- A connection is verified unless that was switched off: the certificate must lead to a trusted
-- root, be valid now, and be for the host (a name or an address). Nothing below TLS 1.2 is spoken.

local core = require "eddy.core"
local native = core.tls
if not native then error("eddy.tls was left out of this build of eddy (TLS=0)", 0) end

---@class eddy.tls
local tls = {}

---@class eddy.tls.Options
---@field server boolean?           this side is the server (default false)
---@field verify boolean?           default true; `false` is reported to `on_error` once per origin (code "UNVERIFIED")
---@field ca string?                instead of the system's store: file, hashed folder or PEM text; a server then demands certificates
---@field cert string?              our certificate with its chain, leaf first: a file or PEM text
---@field key string?               its private key, without a pass phrase: a file or PEM text (default: in `cert`)
---@field alpn string[]?            protocols in order of preference; a server refuses clients that share none
---@field min_version string?       "1.2" (default) or "1.3"
---@field ciphers string?           of TLS 1.2, in OpenSSL's words
---@field hosts table<string, eddy.tls.Options>?  server: `cert` and `key` by the name that clients ask for ("*.x" too)
---@field host string?              client: whom the certificate must be for (default: the host of the target)
---@field context eddy.tls.Context? instead of everything but `host`

---@class eddy.tls.Context          what connections share; made once, used often: it keeps sessions to resume
---@field is_server fun(self: eddy.tls.Context): boolean
---@field verifies fun(self: eddy.tls.Context): boolean
---@field add_host fun(self: eddy.tls.Context, name: string, other: eddy.tls.Context)  server: for clients that ask for this name

local TYPES = {
  server = "boolean", verify = "boolean", ca = "string", cert = "string", key = "string", alpn = "table",
  min_version = "string", ciphers = "string", hosts = "table", host = "string", context = "userdata",
}
local SERVER_ONLY = { hosts = true }
local VERSIONS = { ["1.2"] = false, ["1.3"] = true }
local HOST_MAX = 253
local ORIGINS_MAX = 1024

-- ---- Options -----------------------------------------------------------------------------------

-- Raises with the position of the first function outside of eddy.tls and eddy.net.
local function wrong(text, ...)
  local level = 3
  local info = debug.getinfo(level, "S")
  while info and (info.what == "C" or info.source:find "eddy[/\\][nt][el][ts]%.lua$") do
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  error("tls: " .. text:format(...), info and level or 1)
end

local function check_types(options)
  if type(options) ~= "table" then wrong("options: table expected, got %s", type(options)) end
  for name, value in pairs(options) do
    local wanted = TYPES[name]
    if not wanted then wrong("unknown option '%s'", tostring(name)) end
    if type(value) ~= wanted then wrong("option '%s': %s expected, got %s", name, wanted, type(value)) end
    if wanted == "string" and value:find("\0", 1, true) then wrong("option '%s' contains a zero byte", name) end
  end
end

-- As on the wire: each name behind its length.
local function alpn_text(names)
  if not names then return nil end
  local parts = {}
  for i, name in ipairs(names) do
    if type(name) ~= "string" or #name == 0 or #name > 255 then
      wrong("option 'alpn': item %d is no name of 1 to 255 bytes", i)
    end
    parts[i] = string.pack("s1", name)
  end
  if #parts == 0 then wrong "option 'alpn' is empty" end
  return table.concat(parts)
end

local function check_server(options)
  if not options.cert and not options.hosts then wrong "a server needs options 'cert' and 'key'" end
  if options.verify and not options.ca then wrong "a server verifies its clients by option 'ca'" end
  if options.host then wrong "option 'host' is for clients" end
end

local function check_client(options)
  for name in pairs(SERVER_ONLY) do
    if options[name] then wrong("option '%s' is for servers", name) end
  end
end

local function check(options)
  check_types(options)
  if options.server then check_server(options) else check_client(options) end
  if options.key and not options.cert then wrong "option 'key' without 'cert'" end
  if options.min_version and VERSIONS[options.min_version] == nil then
    wrong("option 'min_version': \"1.2\" or \"1.3\" expected, got %q", options.min_version)
  end
end

local function build(options)
  local verify = options.verify
  if verify == nil then verify = not options.server or options.ca ~= nil end
  return native.context {
    server = options.server, verify = verify, ca = options.ca, cert = options.cert, key = options.key,
    ciphers = options.ciphers, alpn = alpn_text(options.alpn), tls13 = VERSIONS[options.min_version or "1.2"],
  }
end

-- One context for each host, with whatever it does not say itself taken from the others' table.
local function add_hosts(context, options)
  for name, own in pairs(options.hosts) do
    if type(name) ~= "string" or #name == 0 or #name > HOST_MAX then wrong "option 'hosts': not a host name" end
    if type(own) ~= "table" or not own.cert then wrong("option 'hosts': %s has no 'cert'", name) end
    local merged = {}
    for key, value in pairs(options) do merged[key] = value end
    merged.hosts, merged.key = nil, nil
    for key, value in pairs(own) do merged[key] = value end
    check(merged)
    local other, err = build(merged)
    if not other then return nil, err end
    context:add_host(name, other)
  end
  return context
end

--- Make a context: what many connections share. Reads files, and blocks while it does.
---@param options eddy.tls.Options  all but `host` and `context`
---@return eddy.tls.Context? context
---@return eddy.Error? err          kind "io" for a file that cannot be read, "tls" for one that is no certificate
function tls.context(options)
  check(options)
  if options.host or options.context then wrong "a context has no 'host' and no 'context'" end
  local context, err = build(options)
  if context and options.hosts then return add_hosts(context, options) end
  return context, err
end

-- ---- Contexts for those who have none ----------------------------------------------------------

local default   -- of clients without options

local KEPT_MAX = 32
local kept, nkept = {}, 0   -- of options that were given as a table: a context is 60 KB, and knows the sessions

-- What tells options apart, with the lengths of texts, since these hold any byte; nil where that is not to be
-- said: hosts have options of their own, and in a sandbox a host has a say in files.
local function key_of(options)
  local stamp = not options.hosts and native.stamp(options)
  if not stamp then return nil end
  local parts = { stamp, options.server and "server" or "client", tostring(options.verify), alpn_text(options.alpn) or "" }
  for _, name in ipairs { "ca", "cert", "key", "ciphers", "min_version" } do parts[#parts + 1] = options[name] or "" end
  for i, text in ipairs(parts) do parts[i] = ("%d:%s"):format(#text, text) end
  return table.concat(parts)
end

-- Made once for the same options, as long as the files that they name do not change.
local function own_context(options, is_server)
  local own = {}
  for key, value in pairs(options) do own[key] = value end
  own.host = nil
  if is_server then own.server = true end
  local key = key_of(own)
  if key and kept[key] then return kept[key] end
  local context, err = tls.context(own)
  if not context or not key then return context, err end
  if nkept == KEPT_MAX then kept, nkept = {}, 0 end
  kept[key], nkept = context, nkept + 1
  return context
end

local function given_context(options)
  for name in pairs(options) do
    if name ~= "context" and name ~= "host" then wrong("option '%s' belongs into the context", name) end
  end
  if not native.is_context(options.context) then wrong "option 'context' is no TLS context" end
  return options.context
end

--- The context, an error, and the host of `options`: true, a context, or a table.
local function resolve(options, is_server)
  local context, err
  if native.is_context(options) then return options end
  if options == true then
    if is_server then wrong "a server needs options 'cert' and 'key'" end
    if not default then default, err = native.context { verify = true } end
    return default, err
  end
  check_types(options)
  if options.context then return given_context(options), nil, options.host end
  context, err = own_context(options, is_server)
  return context, err, options.host
end

-- For eddy.net: the context of a listener, or nil and an error.
function native.listening(options)
  local context, err = resolve(options, true)
  if context and not context:is_server() then wrong "a listener needs a context with server=true" end
  return context, err
end

-- ---- Connections -------------------------------------------------------------------------------

local reported, nreported = {}, 0

--- Say once for each origin that nobody looks at its certificate.
local function report_unverified(target)
  if reported[target] then return end
  if nreported >= ORIGINS_MAX then reported, nreported = {}, 0 end
  reported[target], nreported = true, nreported + 1
  core.report(core.error {
    kind = "tls", code = "UNVERIFIED", op = "tls", target = target,
    message = "the certificate is not verified (verify=false)",
  })
end

local function check_host(context, host)
  if host and (#host > HOST_MAX or host:find "[%c%s]") then wrong("not a host name: %q", host) end
  if not host and context:verifies() then wrong "option 'host' is needed to verify the certificate" end
end

-- Closes the stream unless it was handed on: also when its task is cancelled or killed.
local guard_meta = { __close = function(self)
  if not self.is_done then self.stream:close() end
end }

-- The stream speaks TLS when this returns, or is closed. Sessions are resumed by `origin`, or by the host.
local function start(stream, context, host, name, origin)
  local guard <close> = setmetatable({ stream = stream }, guard_meta)
  if context:is_server() then host = nil
  elseif not context:verifies() then report_unverified(name or host or "?") end
  local ok, err = native.attach(stream, context, host, origin)
  if ok then ok, err = stream:handshake() end
  if not ok then return nil, err end
  guard.is_done = true
  return stream
end

--- Speak TLS on a connected stream from now on: as the client, or with `server=true` as the server.
--- What the peer has sent and nobody has read is the beginning of its TLS. Awaits the handshake;
--- when that fails or is cancelled the stream is closed.
---@async
---@param stream eddy.Stream
---@param options eddy.tls.Options|eddy.tls.Context
---@return eddy.Stream? stream      the same one
---@return eddy.Error? err          kind "tls" with a code, or the failure of the connection
function tls.wrap(stream, options)
  local context, err, host = resolve(options)
  if not context then return nil, err end
  if native.speaks(stream) then wrong "the stream speaks TLS already" end
  if not context:is_server() then check_host(context, host) end
  return start(stream, context, host)
end

--- Connect and speak TLS: `net.connect` with `tls = options`.
---@async
---@param target eddy.net.Target
---@param options eddy.tls.Options|eddy.tls.Context|nil
---@return eddy.Stream? stream
---@return eddy.Error? err
function tls.connect(target, options)
  require "eddy.net"   -- defines it
  local stream, err = core.net.connect_tls(target, options or true)
  return stream, err
end

-- For eddy.net and eddy.http: what a client must prepare before it connects. A function that turns the
-- stream into one that speaks TLS, or nil and an error. Reports call the other side `name`.
function native.starter(options, host, name, origin)
  local context, err, own = resolve(options)
  if not context then return nil, err end
  if context:is_server() then wrong "a server's context cannot connect" end
  host = own or host
  check_host(context, host)
  return function(stream) return start(stream, context, host, name, origin) end
end

return tls
