-- SPDX-License-Identifier: MIT
-- A server's "Keep-Alive: timeout" counted for responses that came whole, but not for those that were read in
-- pieces: their connections were kept for as long as the client likes, and found closed by the next request.
local lu = ...
local http = require "eddy.http"
local origin = require "spec.http.origin"

local TestKeepAlive = {}

function TestKeepAlive:test_it_counts_for_a_stream()
  local told <close> = origin.keep(origin.answer("x", "Keep-Alive: timeout=0\r\n"))
  local other <close> = origin.keep(origin.answer "x")
  local client <close> = http.client()
  for server, reused in pairs { [told] = false, [other] = true } do
    local res <close> = assert(client:get(server.url, { stream = true }))
    lu.assertEquals(res:read_all(), "x")
    lu.assertEquals(assert(client:get(server.url)).reused, reused)
  end
end

return { TestKeepAlive = TestKeepAlive }
