-- SPDX-License-Identifier: MIT
-- A handler that announced a length, wrote less and returned had its connection cut, and nobody was told why.
local lu = ...
local http = require "eddy.http"

local TestShort = {}

function TestShort:test_the_handler_is_blamed()
  local errors, logged = {}, {}
  local server <close> = assert(http.serve {
    on_error = function(err) errors[#errors + 1] = err end,
    log = function(_, status, bytes) logged[#logged + 1] = status .. " " .. bytes end,
    handler = function(req)
      local res = req:respond { length = 5 }
      res:write "abc"
      if req.path == "/whole" then res:write "de" end
    end,
  })
  local base = "http://127.0.0.1:" .. server.port
  local res, err = http.get(base .. "/short")
  lu.assertNil(res)
  lu.assertEquals(err.code, "EOF")
  lu.assertEquals({ #errors, errors[1].kind, errors[1].code }, { 1, "protocol", "EBADFRAMING" })
  lu.assertEquals(assert(http.get(base .. "/whole")).body, "abcde")
  server:stop { grace = 5 }
  lu.assertEquals(#errors, 1)
  lu.assertEquals(logged, { "200 3", "200 5" })
end

return { TestShort = TestShort }
