-- SPDX-License-Identifier: MIT
-- Load a file with a progress bar. What is not whole never has the file's name; with `resume = true`
-- a second try goes on where the first one ended.
local http = require "eddy.http"

local TEXT = ("All work and no play makes a dull file.\n"):rep(25000)   -- 1 000 000 bytes

-- A server with one file.
local server = assert(http.serve { handler = function(req)
  if req.path ~= "/file.txt" then return 404, {}, "no such file" end
  return 200, { ["Content-Type"] = "text/plain", ETag = '"1"' }, TEXT
end })
local url = ("http://127.0.0.1:%d/"):format(server.port)
local path = os.tmpname()

local shown = -1
local function bar(received, total)
  local tenths = received * 10 // total
  if tenths == shown or tenths % 5 ~= 0 then return end
  shown = tenths
  print(("[%-10s] %3d %%"):format(("#"):rep(tenths), tenths * 10))
end

local res = assert(http.download(url .. "file.txt", path, { progress = bar, resume = true }))
local file <close> = io.open(path, "rb")
print(res.status, file:read "a" == TEXT)

local _, err = http.download(url .. "nothing.txt", path .. ".other")
print(err.code, io.open(path .. ".other") == nil, io.open(path .. ".other.part") == nil)

os.remove(path)
server:close()
