-- SPDX-License-Identifier: MIT
-- Requests as a handler sees them.
local codec = require "eddy.http.codec"
local core = require "eddy.core"
local headers = require "eddy.http.headers"
local misuse = require "eddy.http.misuse"

local incoming = {}

---@class eddy.http.Request
---@field method string
---@field path string                before the "?", still escaped
---@field query string?              behind it, still escaped
---@field target string              as it was sent
---@field headers eddy.http.Headers
---@field body string                decoded; "" where there is none
---@field minor integer              of the peer's HTTP/1.x
local Request = {}

--- The body as JSON.
---@return any value
---@return eddy.Error? err           code `EJSON`
function Request:json()
  local value, problem, ok = codec.decode(self.body)
  if ok then return value end
  return nil, core.error { kind = "protocol", code = "EJSON", op = "request", target = self.target, message = problem }
end

--- Answer piece by piece.
function Request:respond()
  misuse.not_yet "req:respond; return an iterator as the body"
end

local function index(self, key)
  if key == "headers" then
    local value = headers.parse(self.head_)
    rawset(self, "headers", value)
    return value
  end
  return Request[key]
end

local request_meta = { __name = "eddy.http.Request", __index = index }

---@return eddy.http.Request
function incoming.new(method, target, path, query, minor, head, body)
  return setmetatable({
    method = method, target = target, path = path, query = query, minor = minor, head_ = head, body = body,
  }, request_meta)
end

return incoming
