-- SPDX-License-Identifier: MIT
-- Which proxy a request goes through, if any. The scheme of a proxy is http; https to a proxy and
-- SOCKS are not supported.
local core = require "eddy.core"
local auth = require "eddy.http.auth"
local misuse = require "eddy.http.misuse"

local proxy = {}

---@class eddy.http.Proxy
---@field host string
---@field port integer
---@field authorization string?
---@field name string                without credentials

--- Take the address of a proxy apart. "host:port" is as good as a URL.
---@param text string
---@return eddy.http.Proxy? proxy
---@return eddy.Error? err
function proxy.parse(text)
  if not text:find("://", 1, true) then text = "http://" .. text end
  local parts = core.url.parse(text)
  if not parts then return misuse.invalid("invalid proxy", text) end
  if parts.scheme ~= "http" then return misuse.invalid("a proxy of a scheme that is not supported", text) end
  local found = { host = parts.host, port = parts.port, name = parts.authority }
  if parts.userinfo then
    local value, err = auth.of_userinfo(parts.userinfo)
    if not value then return nil, err end
    found.authorization = value
  end
  return found
end

local function names_of(list)
  if type(list) == "table" then return list end
  local names = {}
  for name in (list or ""):gmatch("[^%s,]+") do names[#names + 1] = name end
  return names
end

--- Does one entry of no_proxy name this host: itself or a domain that it lies in?
local function matches(entry, host, port)
  if entry == "*" then return true end
  local name, wanted_port = entry:lower():match("^%[?([^%[%]]-)%]?:(%d+)$")
  if not name or name:find(":", 1, true) and entry:sub(1, 1) ~= "[" then
    name, wanted_port = entry:lower():gsub("^%[(.*)%]$", "%1"), nil
  end
  if wanted_port and tonumber(wanted_port) ~= port then return false end
  name = name:gsub("^%*?%.", "")
  local is_address = host:find "^[%d.]+$" or host:find(":", 1, true)
  return host == name or name ~= "" and not is_address and host:sub(-#name - 1) == "." .. name
end

local function is_excepted(list, parts)
  for _, entry in ipairs(names_of(list)) do
    if matches(entry, parts.host, parts.port) then return true end
  end
  return false
end

--- A variable in lower case, else in upper case. HTTP_PROXY is a request's header where a web
--- server runs programs (CGI), so there it does not count.
local function variable(name)
  local value = os.getenv(name)
  if value or name == "http_proxy" and os.getenv "REQUEST_METHOD" then return value end
  return os.getenv(name:upper())
end

local function from_environment(parts)
  if is_excepted(variable "no_proxy", parts) then return nil end
  local value = variable(parts.scheme .. "_proxy") or variable "all_proxy"
  return value ~= "" and value or nil
end

--- The proxy for an address; nil for none, or `nil, err`.
---@param option string|false|nil
---@param no_proxy string|string[]|nil
---@param parts table                of the address
---@return eddy.http.Proxy? proxy
---@return eddy.Error? err
function proxy.choose(option, no_proxy, parts)
  if not option or is_excepted(no_proxy, parts) then return nil end
  if option == "environment" then option = from_environment(parts) end
  if not option then return nil end
  return proxy.parse(option)
end

return proxy
