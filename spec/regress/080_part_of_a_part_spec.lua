-- SPDX-License-Identifier: MIT
-- A server may send less than the range that it was asked for. A download that was resumed took that for all
-- the rest, and gave a file that was cut off its name.
local lu = ...
local http = require "eddy.http"
local origin = require "spec.http.origin"

local TestPart = {}

function TestPart:setUp()
  self.path = os.tmpname()
  os.remove(self.path)
end

function TestPart:tearDown()
  for _, ending in ipairs { "", ".part", ".part.tag" } do os.remove(self.path .. ending) end
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local ANSWERS = {
  "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 10\r\n\r\n0123",
  "HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\nContent-Range: bytes 4-6/10\r\nContent-Length: 3\r\n\r\n456",
  "HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\nContent-Range: bytes 7-9/10\r\nContent-Length: 3\r\n\r\n789",
}

function TestPart:test_it_is_not_the_whole()
  local asked = {}
  local server <close> = origin.raw(function(stream, n)
    asked[n] = origin.read_head(stream):match "Range: bytes=(%d+)%-" or "all"
    stream:write(ANSWERS[n])
  end)
  for n = 1, 2 do
    local res, err = http.download(server.url, self.path, { resume = true })
    lu.assertNil(res)
    lu.assertEquals({ err.kind, err.code, err.target }, { "io", "EOF", server.url }, n)
    lu.assertNil(read(self.path))
  end
  lu.assertEquals(read(self.path .. ".part"), "0123456")
  lu.assertEquals(assert(http.download(server.url, self.path, { resume = true })).status, 206)
  lu.assertEquals(read(self.path), "0123456789")
  lu.assertEquals(asked, { "all", "4", "7" })
end

return { TestPart = TestPart }
