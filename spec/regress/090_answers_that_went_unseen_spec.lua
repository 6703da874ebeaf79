-- SPDX-License-Identifier: MIT
-- Answers of handlers: for HEAD an iterator without an end was run for ever, and held the connection; a body
-- that was too short was nobody's fault behind '<close>'; a negative length was none at all, two bodies were
-- one; a first piece of a wrong type cut the connection in place of a 500; types that match nothing were taken.
local lu = ...
local http = require "eddy.http"
local origin = require "spec.http.origin"
local serving = require "spec.support.serving"

local TestAnswers = {}

local function endless()
  local made = 0
  return function()
    made = made + 1
    assert(made < 1000, "run for ever")
    return "piece"
  end
end

function TestAnswers:test_nobody_waits_for_a_body_that_is_not_sent()
  local server <close>, reports = serving.serve(function(req)
    if req.path == "/after" then return "after" end
    return tonumber(req.query) or 200, nil, endless()
  end)
  local function head(method, target) return ("%s %s HTTP/1.1\r\nHost: a\r\n"):format(method, target) end
  local got = origin.talk(server.port, head("HEAD", "/") .. "\r\n" .. head("GET", "/?204") .. "\r\n"
    .. head("GET", "/?304") .. "\r\n" .. head("GET", "/after") .. "Connection: close\r\n\r\n")
  lu.assertStrMatches(got, "HTTP/1.1 200.-\r\n\r\nHTTP/1.1 204.-\r\n\r\nHTTP/1.1 304.-\r\n\r\nHTTP/1.1 200.*\r\n\r\nafter")
  lu.assertEquals(reports, {})
end

function TestAnswers:test_an_error_of_the_first_piece_is_a_500_for_head_too()
  local server <close>, reports = serving.serve(function() return 200, nil, function() error "at once" end end)
  lu.assertEquals({ assert(http.head(serving.url_of(server))).status, #reports }, { 500, 1 })
end

function TestAnswers:test_a_short_body_behind_close_is_reported()
  local server <close>, reports = serving.serve(function(req)
    local res <close> = req:respond { length = 3 }
    res:write "ab"
  end)
  lu.assertEquals(select(2, http.post(serving.url_of(server))).code, "EOF")
  lu.assertEquals(#reports, 1)
end

function TestAnswers:test_wrong_answers_are_errors()
  local answers = {
    ["/minus"] = function(req) req:respond { length = -1 } end,
    ["/half"] = function(req) req:respond { length = 1.5 } end,
    ["/endless"] = function(req) req:respond { length = math.huge } end,
    ["/two"] = function() return { json = {}, body = "" } end,
    ["/three"] = function() return { json = {}, body = "", file = "x" } end,
    ["/number"] = function() return 200, nil, function() return 5 end end,
    ["/retry"] = function(req) req:events { retry = math.huge } end,
  }
  local server <close>, reports = serving.serve(function(req) return answers[req.path](req) end)
  local wanted = {
    ["/minus"] = "length: a number of bytes expected", ["/half"] = "length: a number", ["/endless"] = "length: a number",
    ["/two"] = "only one of 'body', 'file', 'json'", ["/three"] = "only one of", ["/number"] = "body: string expected, got number",
    ["/retry"] = "retry: a number of seconds expected",
  }
  for path, text in pairs(wanted) do
    lu.assertEquals({ path, assert(http.get(serving.url_of(server, path))).status }, { path, 500 })
    lu.assertStrContains(table.remove(reports), text)
  end
end

function TestAnswers:test_a_write_of_nothing()
  local server <close>, reports = serving.serve(function(req)
    local res = req:respond()
    res:write("a", nil, "b")
  end)
  lu.assertNil((http.post(serving.url_of(server))))
  lu.assertStrMatches(reports[1], "spec/regress/090.-:%d+: write: string expected, got nil")
end

function TestAnswers:test_types_that_match_nothing()
  for _, name in ipairs { "*/*", "html", "text/", "*", "*+", "a/b/c", "" } do
    lu.assertErrorMsgContains("compress.types[2]: 'a/b', 'a/*' or '*+suffix' expected", http.serve,
      { handler = print, compress = { types = { "text/plain", name } } })
  end
end

return { TestAnswers = TestAnswers }
