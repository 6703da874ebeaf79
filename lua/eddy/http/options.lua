-- SPDX-License-Identifier: MIT
-- The options of requests and clients: what there is, of which type. A wrong type or a name that
-- does not exist raises, before anything else is looked at.
local auth = require "eddy.http.auth"
local body = require "eddy.http.body"
local misuse = require "eddy.http.misuse"

local options = {}

---@class eddy.http.RequestOptions
---@field headers table<string, eddy.http.Value>?  false takes a default away
---@field query table?               keys sorted, lists repeat; an array of pairs keeps its order
---@field body (string|fun(): string?|{read: function})?  bytes, or a source that is asked for them
---@field length integer?            of a body that is no string; without it the body is chunked
---@field json any
---@field form table?                as `query`
---@field multipart table?           `{name = "text" | {filename=, content_type=, body=}}`, or a list with `name`
---@field timeout number?            seconds from now to the last byte; default 30
---@field connect_timeout number?    seconds until a connection is usable
---@field idle_timeout number?       seconds that the peer may be silent
---@field redirects (number|{max: number, downgrade: boolean})?  default 10; 0 follows none
---@field auth ({[1]: string, [2]: string}|{bearer: string}|false)?
---@field cookies (table<string, string>|eddy.http.Jar|false)?
---@field proxy (string|false)?      "http://user:password@host:port" or "environment"
---@field no_proxy (string|string[])?  hosts, with what ends in them, that are asked directly; "*" is all
---@field verify boolean?            default true; false accepts any certificate
---@field ca string?                 path or PEM text, instead of the system's store
---@field cert string?               path or PEM text
---@field key string?                path or PEM text
---@field decode boolean?            default true: undo gzip, deflate, br, zstd
---@field http_version string?       "1.1" is all there is
---@field max_body number?           bytes, decoded too; default 64 MiB, unlimited with `stream`; math.huge is none
---@field max_ratio number?          of decoded bytes to received ones behind the first MiB; default 100, math.huge is none
---@field stream boolean?            return after the head; read the body in pieces
---@field retry (integer|{attempts: integer, statuses: integer[]})?  extra attempts; default 0
---@field unix string?               path of a socket to connect to instead of the URL's host
---@field resolve table<string, string>?  host to address, instead of a lookup

---@class eddy.http.ClientOptions: eddy.http.RequestOptions
---@field base_url string?           what relative URLs are joined to
---@field cookies (boolean|table<string, string>|eddy.http.Jar)?  true: a jar of its own
---@field max integer?               connections in all; default 100
---@field max_per_host integer?      default 100
---@field keep_alive number?         seconds that an idle connection is kept; default 30

local function typed(expected)
  return function(name, value) misuse.check_type(name, value, expected) end
end

local function check_whole(name, value)
  misuse.check_number(name, value)
  if value < 0 or value ~= math.huge and math.tointeger(value) == nil then
    misuse.raise("%s: a whole number, 0 or more, expected", name)
  end
end

local function check_ratio(name, value)
  misuse.check_number(name, value)
  if value < 1 then misuse.raise("%s: must not be below 1", name) end
end

local function check_fields(name, value, fields)
  for field, item in pairs(value) do
    if not fields[field] then misuse.raise("%s: unknown field '%s'", name, tostring(field)) end
    fields[field](name .. "." .. field, item)
  end
end

local REDIRECTS = { max = check_whole, downgrade = typed "boolean" }

local function check_redirects(name, value)
  if type(value) == "table" then check_fields(name, value, REDIRECTS) else check_whole(name, value) end
end

local function check_statuses(name, value)
  misuse.check_type(name, value, "table")
  for i, status in ipairs(value) do misuse.check_number(name .. "[" .. i .. "]", status) end
end

local RETRY = { attempts = check_whole, statuses = check_statuses }

local function check_retry(name, value)
  if type(value) == "table" then check_fields(name, value, RETRY) else check_whole(name, value) end
end

local function check_auth(name, value)
  if value ~= false then auth.check(name, value) end
end

local function check_cookies(name, value)
  if value == false then return end
  misuse.check_type(name, value, "table")
  if getmetatable(value) then return end   -- a jar
  for key, text in pairs(value) do
    misuse.check_type(name .. ": name", key, "string")
    if type(text) ~= "number" then misuse.check_type(name .. "." .. key, text, "string") end
  end
end

local function check_client_cookies(name, value)
  if value ~= true then check_cookies(name, value) end
end

local function check_proxy(name, value)
  if value ~= false then misuse.check_type(name, value, "string") end
end

local function check_strings(name, value)
  misuse.check_type(name, value, "table")
  for key, item in pairs(value) do misuse.check_type(name .. "." .. tostring(key), item, "string") end
end

local function check_no_proxy(name, value)
  if type(value) == "table" then check_strings(name, value) else misuse.check_type(name, value, "string") end
end

local SHARED = {
  headers = typed "table", redirects = check_redirects, timeout = misuse.check_number,
  connect_timeout = misuse.check_number, idle_timeout = misuse.check_number, max_body = check_whole,
  auth = check_auth, cookies = check_cookies, proxy = check_proxy, no_proxy = check_no_proxy,
  verify = typed "boolean", ca = typed "string", cert = typed "string", key = typed "string",
  decode = typed "boolean", http_version = typed "string", retry = check_retry, unix = typed "string",
  resolve = check_strings, max_ratio = check_ratio,
}

local function over_shared(own)
  for name, check in pairs(SHARED) do own[name] = own[name] or check end
  return own
end

local REQUEST = over_shared {
  query = typed "table", form = typed "table", multipart = typed "table", stream = typed "boolean",
  body = body.check, json = function() end, length = check_whole,
}

local CLIENT = over_shared {
  base_url = typed "string", max = misuse.check_number, max_per_host = misuse.check_number,
  keep_alive = misuse.check_number, cookies = check_client_cookies,
}

local function check(values, known)
  if type(values) ~= "table" then misuse.raise("options: table expected, got %s", type(values)) end
  for name, value in pairs(values) do
    if not known[name] then misuse.raise("unknown option '%s'", tostring(name)) end
    known[name](name, value)
  end
end

--- Raise unless these are options of a request.
function options.check_request(values) check(values, REQUEST) end

--- Raise unless these are options of a client.
function options.check_client(values) check(values, CLIENT) end

--- Take the options in `names` out of a copy of `values`, checked: own options, options of requests.
---@param values table?
---@param names table<string, function>  name to check
---@return table own
---@return table rest
function options.split(values, names)
  local own, rest = {}, {}
  if values ~= nil and type(values) ~= "table" then misuse.raise("options: table expected, got %s", type(values)) end
  for name, value in pairs(values or {}) do
    if names[name] then
      names[name](name, value)
      own[name] = value
    else
      rest[name] = value
    end
  end
  check(rest, REQUEST)
  return own, rest
end

return options
