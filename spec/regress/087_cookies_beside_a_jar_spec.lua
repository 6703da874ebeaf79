-- SPDX-License-Identifier: MIT
-- Cookies given with one request of a client that has a jar took the place of the jar: its cookies were not
-- sent, and what the answer set was forgotten. And a jar's list left out what is false.
local lu = ...
local http = require "eddy.http"

local TestBeside = {}

function TestBeside:test_both_are_sent_and_what_comes_is_kept()
  local server <close> = assert(http.serve { handler = function(req)
    return 200, { ["Set-Cookie"] = req.path == "/in" and "session=1" or "seen=2" }, req.headers.cookie or "none"
  end })
  local client <close> = http.client { cookies = true, base_url = "http://127.0.0.1:" .. server.port }
  local function get(path, options) return assert(client:get(path, options)).body end
  lu.assertEquals(get("/in", { cookies = { theme = "dark" } }), "theme=dark")
  lu.assertEquals(get("/", { cookies = { theme = "dark" } }), "theme=dark; session=1")
  lu.assertEquals(get "/", "session=1; seen=2")
  lu.assertEquals(get("/", { cookies = false }), "none")
  lu.assertEquals(get("/", { cookies = http.cookies() }), "none")
end

function TestBeside:test_the_list_is_whole()
  local jar = http.cookies()
  jar:store("http://a.example/", "a=1")
  local cookie = jar:list()[1]
  lu.assertEquals({ cookie.secure, cookie.http_only, cookie.host_only }, { false, false, true })
end

return { TestBeside = TestBeside }
