-- SPDX-License-Identifier: MIT
-- From method, URL and options to a plan: where to connect and the exact bytes to send. All
-- checks happen here, before anything waits. A plan is never changed, so that a client can keep the
-- plans of plain GETs.
local core = require "eddy.core"
local auth = require "eddy.http.auth"
local body = require "eddy.http.body"
local cookies = require "eddy.http.cookies"
local forms = require "eddy.http.forms"
local headers = require "eddy.http.headers"
local misuse = require "eddy.http.misuse"
local options_of = require "eddy.http.options"
local proxy = require "eddy.http.proxy"

local url = core.url
local is_token = core.http.is_token

local request = {}

local USER_AGENT = "eddy/" .. tostring(core.version or 0)
local IDEMPOTENT = { GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true, TRACE = true }
local HAS_BODY = { POST = true, PUT = true, PATCH = true }

local DEFAULT_HEADERS = {
  ["user-agent"] = { "User-Agent", USER_AGENT }, accept = { "Accept", "*/*" },
  ["accept-encoding"] = { "Accept-Encoding", core.coding.names },
}

-- Sent with a Range: it counts bytes of what is stored, and a server that codes on the way would send all of
-- it instead, or a part that cannot be decoded (RFC 9110, section 14.2).
local UNCODED = { "Accept-Encoding", "identity" }

--- What requests send unless told otherwise, with the headers of a client over it.
---@param settings table
---@return table? merged
---@return eddy.Error? err
function request.default_headers(settings)
  local base = headers.merge(DEFAULT_HEADERS, {})
  if settings.decode == false then base["accept-encoding"] = nil end
  return headers.merge(base, settings.headers or {})
end

-- ---- Address -----------------------------------------------------------------------------------

--- Take an address apart, or say why it cannot be asked.
---@return table? parts
---@return eddy.Error? err
function request.parse_url(text)
  local parts, err = url.parse(text)
  if not parts then return misuse.invalid("invalid URL: " .. err.message, text) end
  return parts
end

local function resolve_url(base_url, text, query)
  if base_url then
    local joined, err = url.join(base_url, text)
    if not joined then return misuse.invalid("invalid URL: " .. err.message, text) end
    text = joined
  end
  return request.parse_url(query and forms.with_query(text, query) or text)
end

-- ---- Head --------------------------------------------------------------------------------------

---@class eddy.http.Plan
---@field method string
---@field url string                 without credentials and fragment
---@field origin string              scheme, host, port
---@field key string                 who shares connections
---@field tls_key string?            who shares TLS contexts
---@field parts table                of the address
---@field head string                what is sent, but for the cookies of a jar
---@field body string?
---@field source eddy.http.Source?
---@field headers table              merged
---@field proxy eddy.http.Proxy?
---@field is_idempotent boolean
---@field settings table
---@field stream boolean
---@field timeout number
---@field max_body integer
---@field is_plain boolean           one exchange and nothing beside it

local function without(merged, names)
  local rest = {}
  for name, entry in pairs(merged) do rest[name] = entry end
  for _, name in ipairs(names) do rest[name] = nil end
  return rest
end

local function add_framing(lines, plan, merged)
  local source = plan.source
  if merged["content-length"] then return end
  if source and not source.length then lines[#lines + 1] = "Transfer-Encoding: chunked"
  elseif source then lines[#lines + 1] = ("Content-Length: %d"):format(source.length)
  elseif plan.body or HAS_BODY[plan.method] then
    lines[#lines + 1] = "Content-Length: " .. (plan.body and #plan.body or 0)
  end
end

local function head_of(plan)
  local parts, merged = plan.parts, plan.headers
  local is_absolute = plan.proxy and parts.scheme == "http"
  local own_host = merged.host
  local lines = {
    plan.method .. " " .. (is_absolute and parts.href or parts.target) .. " HTTP/1.1",
    "Host: " .. (own_host and own_host[2] or parts.authority),
  }
  if own_host then merged = without(merged, { "host" }) end
  headers.append(lines, merged)
  if is_absolute and plan.proxy.authorization then
    lines[#lines + 1] = "Proxy-Authorization: " .. plan.proxy.authorization
  end
  add_framing(lines, plan, merged)
  lines[#lines + 1] = "\r\n"
  return table.concat(lines, "\r\n")
end

local function check_length(plan)
  local given = plan.headers["content-length"]
  if not given then return true end
  local length = plan.source and plan.source.length
  if not plan.source then length = plan.body and #plan.body or 0 end
  if length == nil and #given == 2 then   -- a source takes its length from the field
    plan.source.length = math.tointeger(given[2]:match("^%d+$"))
    if plan.source.length then return true end
  end
  if #given ~= 2 or given[2] ~= tostring(length) then
    return misuse.invalid "Content-Length does not agree with the body"
  end
  return true
end

--- One host, perhaps with a port (RFC 9112, 3.2): a server must refuse anything else.
local function check_host(plan)
  local given = plan.headers.host
  if not given then return true end
  local text = given[2]
  local is_host = text:find "^[%w%-%._~!$&'()*+,;=%%]*:?%d*$" or text:find "^%[[%x:.]+%]:?%d*$"
  if #given ~= 2 or not is_host then return misuse.invalid "Host must be one host, perhaps with a port" end
  return true
end

--- The bytes to send now: a jar knows only now what it has.
---@param plan eddy.http.Plan
---@return string
function request.head_now(plan)
  local jar = plan.settings.jar
  local value = jar and jar:header(plan.url)
  if not value then return plan.head end
  local own = plan.headers.cookie
  local merged = without(plan.headers, {})
  merged.cookie = { "Cookie", own and own[2] .. "; " .. value or value }
  local with_cookies = {}
  for name, field in pairs(plan) do with_cookies[name] = field end
  with_cookies.headers = merged
  return head_of(with_cookies)
end

-- ---- Plans -------------------------------------------------------------------------------------

--- What must agree for two connections to share a TLS context. Lengths, since texts hold any byte.
local function tls_key_of(settings)
  local ca, cert, key = settings.ca or "", settings.cert or "", settings.key or ""
  return ("%s %d %d %s%s%s"):format(settings.verify == false and "any" or "verified", #ca, #cert, ca, cert, key)
end

--- What must agree for two requests to share a connection.
local function key_of(plan)
  local settings, key = plan.settings, plan.parts.authority
  if settings.unix then key = key .. "\nunix=" .. settings.unix end
  local address = settings.resolve and settings.resolve[plan.parts.host]
  if address then key = key .. "\nat=" .. address end
  if plan.proxy then key = key .. "\nproxy=" .. plan.proxy.name .. (plan.proxy.authorization or "") end
  if plan.parts.scheme == "http" then return key end
  plan.tls_key = tls_key_of(settings)
  return "https\n" .. key .. "\n" .. plan.tls_key
end

--- Fill in what follows from method, parts, headers, body and settings.
---@return eddy.http.Plan? plan
---@return eddy.Error? err
local function compose(plan)
  local settings = plan.settings
  local ok, problem = check_length(plan)
  if ok then ok, problem = check_host(plan) end
  if not ok then return nil, problem end
  if not settings.unix then
    plan.proxy, problem = proxy.choose(settings.proxy, settings.no_proxy, plan.parts)
    if problem then return nil, problem end
  end
  plan.url, plan.stream = plan.parts.href, settings.stream
  plan.timeout, plan.max_body = settings.timeout, settings.max_body
  plan.is_plain = not (plan.source or plan.stream or settings.idle_timeout or settings.jar or settings.retries > 0)
  plan.origin = plan.parts.scheme .. "://" .. plan.parts.authority
  plan.key = key_of(plan)
  plan.is_idempotent = IDEMPOTENT[plan.method] or false
  plan.head = head_of(plan)
  return plan
end

local INHERITED = {
  "timeout", "connect_timeout", "idle_timeout", "redirects", "auth", "proxy", "no_proxy", "verify", "ca", "cert",
  "key", "decode", "http_version", "retry", "unix", "resolve", "max_body", "max_ratio",
}

local function pick(first, second)
  if first ~= nil then return first end
  return second
end

local function max_redirects_of(value)
  if type(value) == "table" then return value.max or 10, value.downgrade or false end
  return value or 10, false
end

local function retry_of(value)
  if type(value) ~= "table" then return value or 0 end
  local statuses = value.statuses and {}
  for _, status in ipairs(value.statuses or {}) do statuses[status] = true end
  return value.attempts or 0, statuses
end

--- The client's settings with those of the options over them.
local function settings_of(client, options)
  local settings = {}
  for _, name in ipairs(INHERITED) do settings[name] = pick(options[name], client[name]) end
  settings.stream = options.stream or false
  settings.max_body = settings.max_body or settings.stream and -1 or request.MAX_BODY
  settings.timeout = settings.timeout or 30
  settings.max_redirects, settings.downgrade = max_redirects_of(settings.redirects)
  settings.retries, settings.retry_statuses = retry_of(settings.retry)
  settings.jar = cookies.jar_of(options.cookies, client.cookies)
  return settings
end

request.MAX_BODY = 64 * 1024 * 1024

local function check_texts(settings)
  local version = settings.http_version
  if version and version ~= "1.1" then return misuse.invalid "unsupported HTTP version" end
  for _, name in ipairs { "unix", "ca", "cert", "key" } do
    local text = settings[name]
    if text and (text == "" or text:find("\0", 1, true)) then return misuse.invalid("invalid option '" .. name .. "'") end
  end
  for host, address in pairs(settings.resolve or {}) do
    if address == "" or address:find("[%c/]") then return misuse.invalid("invalid address for " .. host) end
  end
  return true
end

local function lay(merged, name, value)
  local text, err = headers.merge(merged, { [name] = value })
  return text, err
end

--- Headers: the client's, the body's, the caller's, credentials and given cookies.
local function headers_of(client, options, settings, kind, userinfo)
  local merged, err = client.headers
  if options.decode ~= nil then
    local entry = options.decode and DEFAULT_HEADERS["accept-encoding"] or nil
    merged = without(merged, { "accept-encoding" })
    merged["accept-encoding"] = entry
  end
  if kind then merged = lay(merged, "Content-Type", kind) end
  if options.headers then merged, err = headers.merge(merged, options.headers) end
  if not merged then return nil, err end
  if merged.range and merged["accept-encoding"] == DEFAULT_HEADERS["accept-encoding"] then
    merged["accept-encoding"] = UNCODED
  end
  local value
  if options.auth then value, err = auth.of_option(options.auth)
  elseif userinfo and not (options.headers and merged.authorization) then value, err = auth.of_userinfo(userinfo)
  elseif settings.auth and not merged.authorization then value, err = auth.of_option(settings.auth) end
  if err then return nil, err end
  if value then merged = lay(merged, "Authorization", value) end
  value, err = cookies.field_of(pick(options.cookies, client.cookies))
  if err then return nil, err end
  if value then merged = lay(merged, "Cookie", merged.cookie and merged.cookie[2] .. "; " .. value or value) end
  return merged
end

local NONE = {}

--- Check everything and make the plan of a request.
---@param client table               its `settings`
---@param method string
---@param text string
---@param options table?
---@return eddy.http.Plan? plan
---@return eddy.Error? err
function request.prepare(client, method, text, options)
  misuse.check_type("method", method, "string")
  misuse.check_type("url", text, "string")
  if options ~= nil then options_of.check_request(options) else options = NONE end
  local bytes, source, kind, err = body.of(options)
  if err then return nil, err end
  if not is_token(method) then return misuse.invalid("invalid method", method) end
  if method == "CONNECT" then return misuse.invalid("method CONNECT is for proxies only") end
  local settings = settings_of(client, options)
  local ok, problem = check_texts(settings)
  if not ok then return nil, problem end
  local parts, merged
  parts, err = resolve_url(client.base_url, text, options.query)
  if not parts then return nil, err end
  merged, err = headers_of(client, options, settings, kind, parts.userinfo)
  if not merged then return nil, err end
  return compose {
    method = method, parts = parts, headers = merged, body = bytes, source = source, settings = settings,
  }
end

-- ---- Redirects ---------------------------------------------------------------------------------

local CREDENTIALS = { "authorization", "cookie", "proxy-authorization", "host" }
local BODY_FIELDS = { "content-type", "content-length", "content-encoding", "content-language" }

local function becomes_get(status, method)
  if status == 303 then return method ~= "HEAD" end
  return (status == 301 or status == 302) and method == "POST"
end

local function refuse(plan, message, kind, code)
  return nil, core.error {
    kind = kind or "protocol", code = code or "EREDIRECT", op = "redirect", target = plan.url, message = message,
  }
end

local function parts_of(plan, location)
  local text, err = url.join(plan.url, url.clean(location))
  if not text then return refuse(plan, err.message) end
  local parts = url.parse(text)
  if not parts then return refuse(plan, "redirected to an address that is not supported") end
  if plan.parts.scheme == "https" and parts.scheme == "http" and not plan.settings.downgrade then
    return refuse(plan, "redirected from https to http", "permission", "EDOWNGRADE")
  end
  return parts
end

--- The plan that a redirect asks for.
---@param plan eddy.http.Plan
---@param status integer
---@param location string
---@return eddy.http.Plan? next
---@return eddy.Error? err
function request.redirect(plan, status, location)
  local parts, err = parts_of(plan, location)
  if not parts then return nil, err end
  local method, bytes, source, merged = plan.method, plan.body, plan.source, plan.headers
  if becomes_get(status, method) then
    method, bytes, source, merged = "GET", nil, nil, without(merged, BODY_FIELDS)
  end
  if source and source.is_used then return refuse(plan, "the body was used up by the redirecting server") end
  if parts.scheme .. "://" .. parts.authority ~= plan.origin then merged = without(merged, CREDENTIALS) end
  return compose {
    method = method, parts = parts, headers = merged, body = bytes, source = source, settings = plan.settings,
  }
end

return request
