-- SPDX-License-Identifier: MIT
-- A static file server: conditions, ranges, and no way out of the root.
-- Given a directory and a port it serves until interrupted:   eddy examples/static_files.lua public 8000
local eddy = require "eddy"
local http = require "eddy.http"

local root = arg[1] or arg[0]:match "^(.*)/" or "."   -- this file's own directory
local server <close> = assert(http.serve { port = tonumber(arg[2]) or 0, handler = http.files(root) })
if arg[2] then
  print("listening on port " .. server.port)
  eddy.sleep(math.huge)
end

local url = ("http://127.0.0.1:%d"):format(server.port)
local whole = assert(http.get(url .. "/hello.out"))
print(whole.status, whole.headers["content-type"], #whole.body > 0)
local again = assert(http.get(url .. "/hello.out", { headers = { ["If-None-Match"] = whole.headers.etag } }))
print(again.status, #again.body)
local part = assert(http.get(url .. "/hello.out", { headers = { Range = "bytes=0-4" } }))
print(part.status, part.headers["content-range"]:match "^(.-)/", part.body == whole.body:sub(1, 5))
print(assert(http.get(url .. "/%2e%2e/Makefile")).status)
server:stop { grace = 1 }
