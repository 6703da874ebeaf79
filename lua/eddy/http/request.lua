-- SPDX-License-Identifier: MIT
-- From method, URL and options to a plan: where to connect and the exact bytes to send. All
-- checks happen here, before anything waits. A plan is never changed, so that a client can keep the
-- plans of plain GETs.
local core = require "eddy.core"
local codec = require "eddy.http.codec"
local headers = require "eddy.http.headers"
local misuse = require "eddy.http.misuse"

local url = core.url
local is_token = core.http.is_token

local request = {}

local USER_AGENT = "eddy/" .. tostring(core.version or 0)
local IDEMPOTENT = { GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true, TRACE = true }
local HAS_BODY = { POST = true, PUT = true, PATCH = true }

local DEFAULT_HEADERS = { ["user-agent"] = { "User-Agent", USER_AGENT }, accept = { "Accept", "*/*" } }
request.DEFAULT_HEADERS = DEFAULT_HEADERS

-- ---- Options -----------------------------------------------------------------------------------

local function check_redirects(name, value)
  if type(value) == "table" then value = value.max or 10 end
  misuse.check_number(name, value)
end

local function check_body(name, value)
  if type(value) == "function" or type(value) == "table" or type(value) == "userdata" then
    misuse.not_yet "an iterator as option 'body'"
  end
  misuse.check_type(name, value, "string")
end

local function typed(expected)
  return function(name, value) misuse.check_type(name, value, expected) end
end

-- What each option must be. Shared by requests and clients, as far as it is in both lists.
local CHECKS = {
  headers = typed "table", query = typed "table", form = typed "table", stream = typed "boolean",
  base_url = typed "string", body = check_body, json = function() end, redirects = check_redirects,
  timeout = misuse.check_number, connect_timeout = misuse.check_number, max_body = misuse.check_number,
  max = misuse.check_number, max_per_host = misuse.check_number, keep_alive = misuse.check_number,
}

local function set(words)
  local names = {}
  for word in words:gmatch("%S+") do names[word] = true end
  return names
end

local REQUEST_OPTIONS = set "headers query body json form stream redirects timeout connect_timeout max_body"
local CLIENT_OPTIONS = set "headers base_url redirects timeout connect_timeout max_body max max_per_host keep_alive"
local NOT_YET = set [[multipart idle_timeout auth cookies proxy no_proxy verify ca cert key decode http_version
  retry unix resolve length]]

local function check_options(options, known)
  if type(options) ~= "table" then misuse.raise("options: table expected, got %s", type(options)) end
  for name, value in pairs(options) do
    if not known[name] then
      if NOT_YET[name] then misuse.not_yet(("option '%s'"):format(name)) end
      misuse.raise("unknown option '%s'", tostring(name))
    end
    CHECKS[name](name, value)
  end
end

function request.check_options(options) check_options(options, REQUEST_OPTIONS) end

function request.check_client_options(options) check_options(options, CLIENT_OPTIONS) end

-- ---- Query and form ----------------------------------------------------------------------------

local function pair_text(key, value, escape)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    misuse.raise("%s: string, number or boolean expected, got %s", tostring(key), kind)
  end
  return escape(tostring(key)) .. "=" .. escape(tostring(value))
end

local function add_pairs(list, key, value, escape)
  if type(value) ~= "table" then
    list[#list + 1] = pair_text(key, value, escape)
    return
  end
  for _, item in ipairs(value) do list[#list + 1] = pair_text(key, item, escape) end
end

--- "a=1&b=2": a map, with sorted keys, whose lists repeat the key; or an array of pairs, in order.
local function encode_pairs(values, escape)
  local list, keys = {}, {}
  for i, pair in ipairs(values) do
    if type(pair) ~= "table" then misuse.raise("pair %d: table expected, got %s", i, type(pair)) end
    add_pairs(list, pair[1], pair[2], escape)
  end
  for key in pairs(values) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do add_pairs(list, key, values[key], escape) end
  return table.concat(list, "&")
end

local function escape_form(text)
  return (url.escape(text):gsub("%%20", "+"))
end

-- ---- Address -----------------------------------------------------------------------------------

local function with_query(text, query)
  local encoded = encode_pairs(query, url.escape)
  if encoded == "" then return text end
  local fragment = text:find("#", 1, true)
  if fragment then text = text:sub(1, fragment - 1) end
  return text .. (text:find("?", 1, true) and "&" or "?") .. encoded
end

--- Take an address apart, or say why it cannot be asked.
---@return table? parts
---@return eddy.Error? err
function request.parse_url(text)
  local parts, err = url.parse(text)
  if not parts then return misuse.invalid("invalid URL: " .. err.message, text) end
  if parts.scheme ~= "http" then return misuse.invalid("https: TLS is not there yet", parts.href) end
  if parts.userinfo then return misuse.invalid("credentials in a URL: not yet", parts.href) end
  return parts
end

local function resolve_url(client, text, options)
  if client.base_url then
    local joined, err = url.join(client.base_url, text)
    if not joined then return misuse.invalid("invalid URL: " .. err.message, text) end
    text = joined
  end
  if options and options.query then text = with_query(text, options.query) end
  return request.parse_url(text)
end

-- ---- Body --------------------------------------------------------------------------------------

--- The body's bytes and its type, from whichever of three options is given.
local function body_of(options)
  local body, kind = options.body, nil
  local count = (body and 1 or 0) + (options.json ~= nil and 1 or 0) + (options.form and 1 or 0)
  if count > 1 then misuse.raise("only one of 'body', 'json', 'form' can be given") end
  if options.form then
    body, kind = encode_pairs(options.form, escape_form), "application/x-www-form-urlencoded"
  elseif options.json ~= nil then
    local problem
    body, problem = codec.encode(options.json)
    kind = "application/json"
    if not body then misuse.raise("json: %s", problem) end
  end
  return body, kind
end

--- Lay the headers of the options and those of the body over the client's.
local function headers_of(client, options, kind)
  local merged = client.headers
  if kind then merged = headers.merge(merged, { ["Content-Type"] = kind }) end
  if options and options.headers then return headers.merge(merged, options.headers) end
  return merged
end

-- ---- Plans -------------------------------------------------------------------------------------

---@class eddy.http.Plan
---@field method string
---@field url string                 without credentials and fragment
---@field key string                 the origin: who shares connections
---@field target table               for net.connect
---@field head string                what is sent
---@field body string?
---@field headers table              merged
---@field is_idempotent boolean
---@field timeout number
---@field connect_timeout number?
---@field max_body number            below 0: unlimited
---@field stream boolean
---@field max_redirects number

local function head_of(method, parts, merged, body)
  local own_host = merged.host
  local lines = { method .. " " .. parts.target .. " HTTP/1.1", "Host: " .. (own_host and own_host[2] or parts.authority) }
  if own_host then
    local rest = {}
    for name, entry in pairs(merged) do rest[name] = name ~= "host" and entry or nil end
    merged = rest
  end
  headers.append(lines, merged)
  if not merged["content-length"] and (body or HAS_BODY[method]) then
    lines[#lines + 1] = "Content-Length: " .. (body and #body or 0)
  end
  lines[#lines + 1] = "\r\n"
  return table.concat(lines, "\r\n")
end

local function check_length(merged, body)
  local given = merged["content-length"]
  if given and (#given ~= 2 or given[2] ~= tostring(body and #body or 0)) then
    return misuse.invalid "Content-Length does not agree with the body"
  end
  return true
end

local function redirects_of(value)
  if type(value) == "table" then return value.max or 10 end
  return value or 10
end

--- The plan for an address that was taken apart.
---@return eddy.http.Plan? plan
---@return eddy.Error? err
function request.compose(settings, method, parts, merged, body)
  local ok, err = check_length(merged, body)
  if not ok then return nil, err end
  return {
    method = method, url = parts.href, key = parts.authority,
    target = { host = parts.host, port = parts.port },
    head = head_of(method, parts, merged, body), body = body, headers = merged,
    is_idempotent = IDEMPOTENT[method] or false,
    timeout = settings.timeout, connect_timeout = settings.connect_timeout,
    max_body = settings.max_body, stream = settings.stream, max_redirects = settings.max_redirects,
  }
end

local function settings_of(client, options)
  options = options or {}
  local stream = options.stream or false
  return {
    timeout = options.timeout or client.timeout,
    connect_timeout = options.connect_timeout or client.connect_timeout,
    max_body = options.max_body or stream and -1 or client.max_body,
    stream = stream,
    max_redirects = redirects_of(options.redirects or client.redirects),
  }
end

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
  if options ~= nil then request.check_options(options) end
  local body, kind
  if options then body, kind = body_of(options) end
  local merged, parts, err
  merged, err = headers_of(client, options, kind)
  if not merged then return nil, err end
  if not is_token(method) then return misuse.invalid("invalid method", method) end
  if method == "CONNECT" then return misuse.invalid("method CONNECT is for proxies only") end
  parts, err = resolve_url(client, text, options)
  if not parts then return nil, err end
  return request.compose(settings_of(client, options), method, parts, merged, body)
end

-- ---- Redirects ---------------------------------------------------------------------------------

local CREDENTIALS = { "authorization", "cookie", "proxy-authorization", "host" }
local BODY_FIELDS = { "content-type", "content-length", "content-encoding", "content-language" }

local function without(merged, names)
  local rest = {}
  for name, entry in pairs(merged) do rest[name] = entry end
  for _, name in ipairs(names) do rest[name] = nil end
  return rest
end

local function becomes_get(status, method)
  if status == 303 then return method ~= "HEAD" end
  return (status == 301 or status == 302) and method == "POST"
end

--- The plan that a redirect asks for.
---@param plan eddy.http.Plan
---@param status integer
---@param location string
---@return eddy.http.Plan? next
---@return eddy.Error? err
function request.redirect(plan, status, location)
  local function refuse(message)
    return nil, core.error { kind = "protocol", code = "EREDIRECT", op = "redirect", target = plan.url, message = message }
  end
  local text, err = url.join(plan.url, url.clean(location))
  if not text then return refuse(err.message) end
  local parts = url.parse(text)
  if not parts or parts.scheme ~= "http" then return refuse "redirected to an address that is not supported" end
  local method, body, merged = plan.method, plan.body, plan.headers
  if becomes_get(status, method) then
    method, body, merged = "GET", nil, without(merged, BODY_FIELDS)
  end
  if parts.authority ~= plan.key then merged = without(merged, CREDENTIALS) end
  return request.compose(plan, method, parts, merged, body)
end

return request
