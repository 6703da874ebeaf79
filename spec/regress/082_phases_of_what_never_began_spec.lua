-- SPDX-License-Identifier: MIT
-- A request that was out of time before it could use its kept connection named the phase of the one before
-- it: "done", which is none of those that are documented.
local lu = ...
local http = require "eddy.http"
local origin = require "spec.http.origin"

local PHASES = { resolve = true, connect = true, tls = true, write = true, head = true, body = true, pool = true }

local TestPhase = {}

function TestPhase:test_without_time()
  local server <close> = origin.keep(origin.answer "x")
  local client <close> = http.client()
  for _, options in ipairs { {}, { retry = 1 }, { stream = true }, { idle_timeout = 1 } } do
    local got <close> = assert(client:get(server.url))
    lu.assertEquals(got.body, "x")
    options.timeout = 0
    local res, err = client:get(server.url, options)
    lu.assertNil(res)
    lu.assertEquals({ err.kind, err.code }, { "timeout", "ETIMEDOUT" })
    lu.assertTrue(PHASES[err.op], err.op)
  end
end

return { TestPhase = TestPhase }
