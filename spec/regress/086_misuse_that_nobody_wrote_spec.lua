-- SPDX-License-Identifier: MIT
-- What a handler returned, or a source gave, is looked at when no code of theirs is on the stack: the errors
-- named lines of eddy's own files as their positions.
local lu = ...
local http = require "eddy.http"

local TestPosition = {}

function TestPosition:test_of_a_body()
  local server <close> = assert(http.serve { handler = function() return "" end })
  local url = "http://127.0.0.1:" .. server.port .. "/"
  local ok, err = pcall(http.post, url, { body = function() return 5 end })
  lu.assertEquals({ ok, err }, { false, "body: string expected, got number" })
end

function TestPosition:test_of_an_answer()
  local errors = {}
  local server <close> = assert(http.serve {
    on_error = function(err) errors[#errors + 1] = err end,
    handler = function() return 200, { ["Transfer-Encoding"] = "chunked" }, "x" end,
  })
  lu.assertEquals(assert(http.get("http://127.0.0.1:" .. server.port .. "/")).status, 500)
  lu.assertEquals(errors, { "header Transfer-Encoding cannot be set" })
end

return { TestPosition = TestPosition }
