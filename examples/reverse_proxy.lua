-- SPDX-License-Identifier: MIT
-- A reverse proxy: requests go to one of several back ends in turn, bodies flow through in pieces both
-- ways, and a slow side slows the other one down.   eddy examples/reverse_proxy.lua
local http = require "eddy.http"

local HOP = { "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate",
  "transfer-encoding", "content-length", "te", "trailer", "upgrade", "expect", "host", "date" }
local is_hop = {}
for _, name in ipairs(HOP) do is_hop[name] = true end

local function forwarded(headers)
  local fields = {}
  for name, value in pairs(headers) do
    if not is_hop[name] then
      fields[name] = fields[name] or {}
      table.insert(fields[name], value)
    end
  end
  return fields
end

--- The body as something with `read`, and its length where that was said; nothing for a request without.
local function body_of(req)
  local length = math.tointeger(req.headers["content-length"])
  if length or req.headers["transfer-encoding"] then return req, length end
end

local function proxy(backends)
  local client, turn = http.client(), 0
  return function(req)
    turn = turn % #backends + 1
    local fields = forwarded(req.headers)
    fields["X-Forwarded-For"] = req.remote
    local body, length = body_of(req)
    local res <close>, err = client:request(req.method, backends[turn] .. req.target, {
      headers = fields, body = body, length = length, stream = true, decode = false, redirects = 0,
    })
    if not res then return err.kind == "timeout" and 504 or 502 end
    local out <close> = req:respond { status = res.status, headers = forwarded(res.headers) }
    for piece in res:chunks() do
      if not out:write(piece) then return end
    end
  end
end

local function backend(name)
  return assert(http.serve { handler = function(req)
    return 200, { ["X-Backend"] = name }, ("%s %s %s"):format(req.method, req.path, #req.body)
  end })
end

local function url_of(server) return ("http://127.0.0.1:%d"):format(server.port) end

local first <close> = backend "first"
local second <close> = backend "second"
local front <close> = assert(http.serve { stream = true, handler = proxy { url_of(first), url_of(second) } })

for i, path in ipairs { "/a", "/b", "/c" } do
  local res = assert(http.post(url_of(front) .. path, { body = ("x"):rep(i * 1000) }))
  print(res.status, res.headers["x-backend"], res.body)
end
first:close()
second:close()
print(assert(http.get(url_of(front))).status)
