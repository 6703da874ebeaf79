-- SPDX-License-Identifier: MIT
-- For tools/interop.sh: our client against a server of others.
--   eddy client.lua nginx|python|proxy URL FILE [CA [PROXY]]
local eddy = require "eddy"
local http = require "eddy.http"

local kind, url, path = arg[1], arg[2], arg[3]
-- tinyproxy closes behind each answer and does not say so: a POST over a kept connection would get lost.
local client <close> = http.client {
  base_url = url, ca = arg[4] ~= "" and arg[4] or nil, proxy = arg[5], keep_alive = arg[5] and 0 or nil,
}
local name = path:match "[^/]+$"
local file <close> = assert(io.open(path, "rb"))
local content = file:read "a"

local function expect(value, wanted, what)
  if value ~= wanted then error(("%s: expected %.200s, got %.200s"):format(what, wanted, value)) end
end

-- It may not listen yet.
for attempt = 1, 100 do
  local res, err = client:get(name)
  if res and res.status < 500 then break end
  assert(attempt < 100, err or res)
  eddy.sleep(0.1)
end

expect(assert(client:get(name)).body, content, "body")
expect(assert(client:head(name)).body, "", "body of HEAD")
expect(assert(client:get "none").status, 404, "status")
local res <close> = assert(client:get(name, { stream = true }))
expect(assert(res:read_all()), content, "body in pieces")

local checks = {}

function checks.nginx()
  local opened = client:stats().opened
  for _ = 1, 50 do expect(assert(client:get "ok").body, "ok", "body") end
  expect(client:stats().opened, opened, "connections")
  local coded = assert(client:get(name, { decode = false, headers = { ["Accept-Encoding"] = "gzip" } }))
  expect(coded.headers["content-encoding"], "gzip", "coding")
  assert(#coded.body < #content / 2, "not much was saved")
  expect(assert(client:get "moved").body, "ok", "body behind a redirect")
  for _ = 1, 5 do expect(assert(client:get "close").body, "closed", "body") end
  expect(assert(client:get(name, { headers = { Range = "bytes=0-4" } })).body, content:sub(1, 5), "range")
  expect(assert(client:get(name, { headers = { Range = "bytes=0-4" } })).status, 206, "status")
  local bodies = eddy.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function() return assert(client:get(name)).body end)
  for _, body in ipairs(bodies) do expect(body, content, "one of many at once") end
end

-- Our own server behind a proxy of others.
function checks.proxy()
  local big = ("0123456789"):rep(50000)
  expect(assert(client:post("/echo", { body = big })).body, big, "what was sent")
  local n = 0
  expect(assert(client:post("/echo", { body = function()
    n = n + 1
    return n <= 10 and "piece" or nil
  end })).body, ("piece"):rep(10), "what was sent in pieces")
  local list = {}
  for line in assert(client:get("/stream", { stream = true })):lines() do list[#list + 1] = line end
  expect(list[10], "piece 10", "the last line")
  local bodies = eddy.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function(i) return assert(client:get("/hello" .. i)).body end)
  for i, body in ipairs(bodies) do expect(body, "hello /hello" .. i, "one of many at once") end
end

if checks[kind] then checks[kind]() end
if url:find "^https" then   -- and nobody else's word is taken for it
  local stranger <close> = http.client { base_url = url, proxy = arg[5] }
  local _, err = stranger:get(name)
  expect(err and err.code, "CERT_UNTRUSTED", "code")
end
