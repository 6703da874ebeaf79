-- SPDX-License-Identifier: MIT
-- For tools/interop.sh: our client against a server of others.   eddy client.lua nginx|python PORT FILE
local eddy = require "eddy"
local http = require "eddy.http"

local kind, port, path = arg[1], tonumber(arg[2]), arg[3]
local client <close> = http.client { base_url = ("http://127.0.0.1:%d"):format(port) }
local name = path:match "[^/]+$"
local file <close> = assert(io.open(path, "rb"))
local content = file:read "a"

local function expect(value, wanted, what)
  if value ~= wanted then error(("%s: expected %s, got %s"):format(what, wanted, value)) end
end

-- It may not listen yet.
for attempt = 1, 100 do
  if client:get("/" .. name) then break end
  assert(attempt < 100, "the server does not answer")
  eddy.sleep(0.1)
end

expect(assert(client:get("/" .. name)).body, content, "body")
expect(assert(client:head("/" .. name)).body, "", "body of HEAD")
expect(assert(client:get "/none").status, 404, "status")
local res <close> = assert(client:get("/" .. name, { stream = true }))
expect(assert(res:read_all()), content, "body in pieces")

if kind == "nginx" then
  local opened = client:stats().opened
  for _ = 1, 50 do expect(assert(client:get "/ok").body, "ok", "body") end
  expect(client:stats().opened, opened, "connections")
  expect(assert(client:get "/moved").body, "ok", "body behind a redirect")
  for _ = 1, 5 do expect(assert(client:get "/close").body, "closed", "body") end
  expect(assert(client:get("/" .. name, { headers = { Range = "bytes=0-4" } })).body, content:sub(1, 5), "range")
  expect(assert(client:get("/" .. name, { headers = { Range = "bytes=0-4" } })).status, 206, "status")
  local bodies = eddy.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function() return assert(client:get("/" .. name)).body end)
  for _, body in ipairs(bodies) do expect(body, content, "one of many at once") end
end
