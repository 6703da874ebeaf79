-- SPDX-License-Identifier: MIT
-- Credentials: the value of an Authorization field from an option or from an address. They appear in
-- nothing but what is sent.
local core = require "eddy.core"
local forms = require "eddy.http.forms"
local misuse = require "eddy.http.misuse"

local auth = {}

--- "Basic ..." of RFC 7617, or `nil, err` for texts that it cannot carry.
---@return string? value
---@return eddy.Error? err
function auth.basic(user, password)
  if user:find("[%c:]") or password:find("%c") then return misuse.invalid "invalid byte in user or password" end
  return "Basic " .. forms.base64(user .. ":" .. password)
end

--- What is between "//" and "@", percent-encoded.
---@param userinfo string
---@return string? value
---@return eddy.Error? err
function auth.of_userinfo(userinfo)
  local user, password = userinfo:match("^([^:]*):?(.*)$")
  user, password = core.url.unescape(user), core.url.unescape(password)
  if not user or not password then return misuse.invalid "invalid credentials in a URL" end
  return auth.basic(user, password)
end

--- Raise unless this is an option `auth`.
function auth.check(name, value)
  misuse.check_type(name, value, "table")
  for key in pairs(value) do
    if key ~= 1 and key ~= 2 and key ~= "bearer" then misuse.raise("%s: unknown field '%s'", name, tostring(key)) end
  end
  if value.bearer ~= nil then
    misuse.check_type(name .. ".bearer", value.bearer, "string")
    if value[1] ~= nil then misuse.raise("%s: either a user or a bearer", name) end
    return
  end
  misuse.check_type(name .. "[1]", value[1], "string")
  misuse.check_type(name .. "[2]", value[2] or "", "string")
end

--- The field's value for an option `auth`.
---@param option table               `{user, password}` or `{bearer=}`
---@return string? value
---@return eddy.Error? err
function auth.of_option(option)
  if not option.bearer then return auth.basic(option[1], option[2] or "") end
  if not option.bearer:find("^[%w%-%._~%+/]+=*$") then return misuse.invalid "invalid byte in a bearer token" end
  return "Bearer " .. option.bearer
end

return auth
