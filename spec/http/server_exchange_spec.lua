-- SPDX-License-Identifier: MIT
-- What a handler can do with its exchange: answer in pieces, read in pieces, events, work afterwards,
-- another protocol; what happens to it when the peer leaves or the server stops.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local origin = require "spec.http.origin"
local process = require "spec.support.process"
local serving = require "spec.support.serving"
local testing = require "eddy.testing"

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
local CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
local LAST = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

local serve, connect, url_of = serving.serve, serving.connect, serving.url_of

-- ---- Answers in pieces -------------------------------------------------------------------------

local TestPieces = {}

function TestPieces:test_respond()
  local server <close> = serve(function(req)
    local res = req:respond { status = 201, headers = { ["X-A"] = "1" } }
    res:write("a", 1, "b")
    res:write ""
    res:write "c"
    res:close()
    lu.assertTrue(res:close())
  end)
  local res = assert(http.get(url_of(server)))
  lu.assertEquals({ res.status, res.body, res.headers["x-a"], res.headers["transfer-encoding"] }, { 201, "a1bc", "1", "chunked" })
end

function TestPieces:test_with_a_length()
  local left
  local server <close>, reports = serve(function(req)
    local res = req:respond { length = 3 }
    res:write "ab"
    if req.path == "/more" then left = select(2, res:write "cd").code
    elseif req.path == "/whole" then res:write "c" end
  end)
  lu.assertEquals(assert(http.get(url_of(server, "/whole"))).body, "abc")
  lu.assertEquals(select(2, http.get(url_of(server, "/less"))).code, "EOF")
  lu.assertEquals(select(2, http.get(url_of(server, "/more"))).code, "EOF")
  lu.assertEquals({ left, #reports }, { "EMSGSIZE", 2 })   -- of /less and /more
end

function TestPieces:test_head_and_old_peers()
  local server <close> = serve(function(req)
    local res <close> = req:respond()
    res:write "abc"
  end)
  local got = origin.talk(server.port, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
  lu.assertEquals(select(2, got:gsub("HTTP/1.1 200 OK\r\n", "")), 2)
  lu.assertNil(got:find "abc")
  lu.assertStrContains(origin.talk(server.port, "GET / HTTP/1.0\r\n\r\n"), "Connection: close\r\n\r\nabc")
end

function TestPieces:test_errors_cut_the_connection()
  local server <close>, reports = serve(function(req)
    if req.path == "/close" then
      local res <close> = req:respond()
      res:write "x"
      error "broken"
    end
    local res = req:respond()
    res:write "x"
    error "broken"
  end)
  for i, path in ipairs { "/close", "/open" } do
    local res, err = http.get(url_of(server, path))
    lu.assertNil(res)
    lu.assertEquals({ err.kind, err.code, #reports }, { "io", "EOF", i })
  end
end

function TestPieces:test_an_error_before_the_first_piece_is_a_500()
  local server <close>, reports = serve(function() return 200, nil, function() error "at once" end end)
  lu.assertEquals({ assert(http.get(url_of(server))).status, #reports }, { 500, 1 })
end

function TestPieces:test_misuse()
  local server <close>, reports = serve(function(req)
    if req.path == "/twice" then req:respond() req:respond() end
    if req.path == "/option" then req:respond { stauts = 1 } end
    local res = req:respond()
    res:close()
    res:write "x"
  end)
  for i, path in ipairs { "/twice", "/option", "/closed" } do
    http.get(url_of(server, path))
    lu.assertEquals(#reports, i)
  end
end

function TestPieces:test_events()
  local server <close>, reports = serve(function(req)
    local events <close> = req:events { retry = 2 }
    events:send "one"
    events:comment()
    events:send { event = "tick", id = 7, data = "a\nb\r\nc" }
    events:send { event = "x\ny" }
  end)
  local got = origin.talk(server.port, GET)
  lu.assertStrContains(got, "Content-Type: text/event-stream\r\n")
  local text = got:gsub("\r\n%x+\r\n", "")
  lu.assertStrContains(text, "retry: 2000\n\n")
  lu.assertStrContains(text, "data: one\n\n")
  lu.assertStrContains(text, "event: tick\nid: 7\ndata: a\ndata: b\ndata: c\n\n")
  lu.assertNil(got:find "0\r\n\r\n$")   -- cut: the last one is refused
  lu.assertEquals(#reports, 1)
end

-- ---- Bodies in pieces --------------------------------------------------------------------------

local TestBody = {}

function TestBody:test_stream()
  local server <close> = serve(function(req)
    lu.assertNil(req.body)
    local sum = 0
    for piece in req:chunks() do sum = sum + #piece end
    return tostring(sum)
  end, { stream = true })
  for _, options in ipairs { { body = ("x"):rep(3e6) }, { body = "" } } do
    lu.assertEquals(assert(http.post(url_of(server), options)).body, tostring(#options.body))
  end
end

function TestBody:test_chunked_and_pipelined()
  local server <close> = serve(function(req) return req:read_all() end, { stream = true })
  local got = origin.talk(server.port, CHUNKED .. "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" .. LAST)
  lu.assertStrContains(got, "\r\n\r\nabcdeHTTP/1.1 200")
end

function TestBody:test_unread_body_closes_behind_the_answer()
  local server <close> = serve(function() return "no" end, { stream = true })
  local got = origin.talk(server.port, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcd")
  lu.assertStrContains(got, "Connection: close\r\n\r\nno")
end

function TestBody:test_limit()
  local code
  local server <close> = serve(function(req)
    local _, err = req:read_all()
    code = err and err.code
    return 413
  end, { stream = true, max_body = 4 })
  lu.assertStrContains(origin.talk(server.port, CHUNKED .. "5\r\nabcde\r\n0\r\n\r\n"), "413")
  lu.assertEquals(code, "EBODY")
end

function TestBody:test_expect_continue_is_said_when_it_is_read()
  local go = eddy.event()
  local server <close> = serve(function(req)
    if req.path == "/no" then return 403 end
    go:wait()
    return req:read_all()
  end, { stream = true })
  local head = "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
  lu.assertStrMatches(origin.talk(server.port, head:format "/no"), "HTTP/1.1 403.*")
  local stream <close> = connect(server)
  stream:write(head:format "/")
  go:set()
  lu.assertEquals(stream:read_until "\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n")
  stream:write "abc"
  stream:read_until "\r\n\r\n"
  lu.assertEquals(stream:read(), "abc")
end

function TestBody:test_unknown_expectation()
  local server <close> = serve(function() return "" end)
  lu.assertStrContains(origin.talk(server.port, "GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n"), "HTTP/1.1 417 Expectation Failed")
end

function TestBody:test_json_and_remote()
  local seen
  local server <close> = serve(function(req)
    seen = { req.remote, math.type(req.remote_port), req:read(2), req:read(), req:read() }
    return ""
  end)
  http.post(url_of(server), { body = "abc" })
  lu.assertEquals(seen, { "127.0.0.1", "integer", "ab", "c" })
end

function TestBody:test_one_byte_at_a_time()
  local server <close> = serve(function(req) return req:read_all() end, { stream = true })
  local stream <close> = connect(server)
  local head = CHUNKED:gsub("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
  for byte in (head .. "2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: 1\r\n\r\n"):gmatch "." do
    stream:write(byte)
    eddy.sleep(0)
  end
  stream:read_until "\r\n\r\n"
  lu.assertEquals(stream:read(), "abc")
end

-- ---- The peer leaves ---------------------------------------------------------------------------

local TestLeaving = {}

for _, how in ipairs { "waiting", "writing", "reading" } do
  TestLeaving["test_cancels_a_handler_" .. how] = function()
    local began, ended = false, nil
    local server <close>, reports = serve(function(req)
      began = true
      local guard <close> = setmetatable({}, { __close = function(_, err) ended = err or "no error" end })
      if how == "reading" then req:read_all() end
      if how == "writing" then
        local res = req:respond()
        while res:write(("x"):rep(1e5)) do end   -- luacheck: ignore 542
      end
      eddy.sleep(1000)
    end, { stream = how == "reading" })
    local stream = connect(server)
    stream:write(how == "reading" and "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na" or GET)
    testing.eventually(function() return began end)
    stream:close()
    testing.eventually(function() return ended end)
    lu.assertEquals(ended.kind, "cancelled")
    lu.assertEquals({ #reports, server:stats().connections, server:stats().aborted }, { 0, 0, 1 })
  end
end

function TestLeaving:test_work_afterwards_goes_on()
  local order = {}
  local server <close>, reports = serve(function(req)
    req:after(function(name)
      eddy.sleep(0.02)
      order[#order + 1] = name
    end, "after")
    req:after(function() error "broken" end)
    order[#order + 1] = "handler"
    return "x"
  end)
  lu.assertStrContains(origin.talk(server.port, LAST), "\r\n\r\nx")
  lu.assertEquals(order, { "handler" })
  testing.eventually(function() return #reports == 1 end)
  lu.assertEquals(order, { "handler", "after" })
  lu.assertEquals(assert(http.get(url_of(server))).body, "x")
  server:stop { grace = 5 }
  lu.assertEquals(#order, 4)
end

-- ---- Another protocol, the log -----------------------------------------------------------------

local TestOther = {}

function TestOther:test_upgrade()
  local server <close>, reports = serve(function(req)
    if not req:wants_upgrade() then return 426 end
    local stream <close> = assert(req:upgrade { Upgrade = "shout" })
    while true do
      local line = stream:read_line()
      if not line then return end
      stream:write(line:upper(), "\n")
    end
  end)
  lu.assertEquals(assert(http.get(url_of(server))).status, 426)
  local stream <close> = connect(server)
  stream:write "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nearly\n"
  local head = stream:read_until "\r\n\r\n"
  lu.assertStrContains(head, "HTTP/1.1 101 Switching Protocols\r\n")
  lu.assertStrContains(head, "Upgrade: shout\r\n")
  lu.assertEquals(stream:read_line(), "EARLY")
  stream:write "late\n"
  lu.assertEquals(stream:read_line(), "LATE")
  stream:close()
  lu.assertEquals(#reports, 0)
end

function TestOther:test_log()
  local lines = {}
  local server <close> = serve(function(req)
    if req.path == "/error" then error "x" end
    if req.path == "/pieces" then return 202, nil, coroutine.wrap(function() coroutine.yield "ab" coroutine.yield "c" end) end
    return "abc"
  end, { log = function(req, status, bytes, seconds)
    lines[#lines + 1] = ("%s %s %d %d %s"):format(req.method, req.path, status, bytes, seconds >= 0)
  end })
  for _, path in ipairs { "/", "/error", "/pieces" } do http.get(url_of(server, path)) end
  testing.eventually(function() return #lines == 3 end)
  lu.assertEquals(lines, { "GET / 200 3 true", "GET /error 500 0 true", "GET /pieces 202 3 true" })
end

function TestOther:test_unix_socket()
  local path = os.tmpname()
  os.remove(path)
  local _ <close> = serve(function() return "u" end, { path = path })
  local stream <close> = assert(net.connect { path = path })
  stream:write(LAST)
  lu.assertStrContains(stream:read_all(), "\r\n\r\nu")
end

-- ---- Stopping, limits of the process -----------------------------------------------------------

local TestLoad = {}

function TestLoad:test_stop_loses_nobody()
  local server = serve(function()
    eddy.sleep(0.01)
    return "done"
  end)
  local answered, refused, lost = 0, 0, {}
  local function ask()
    while true do
      local client <close> = http.client()
      local res, err = client:get(url_of(server))
      if res and res.body == "done" then answered = answered + 1
      elseif err and err.code == "ECONNREFUSED" then refused = refused + 1 return
      else lost[#lost + 1] = tostring(err) return end
    end
  end
  eddy.group(function(g)
    for _ = 1, 20 do g:spawn(ask) end
    eddy.sleep(0.1)
    server:stop { grace = 10 }
    local stats = server:stats()
    lu.assertEquals({ stats.requests, stats.connections }, { stats.responses, 0 })
  end)
  lu.assertTrue(answered >= 20)
  lu.assertEquals({ refused, lost }, { 20, {} })
  lu.assertEquals(server:stats().responses, answered)
end

function TestLoad:test_stop_cancels_after_the_grace()
  local server, reports = serve(function() eddy.sleep(1000) end)
  local running = eddy.spawn(http.get, url_of(server))
  testing.eventually(function() return server:stats().busy == 1 end)
  server:stop { grace = 0.05 }
  lu.assertNil((running:await()))
  lu.assertEquals({ #reports, server:stats().connections, server:stats().busy }, { 0, 0, 0 })
end

function TestLoad:test_max_connections()
  local server <close> = serve(function() return "x" end, { max_connections = 2 })
  local first <close> = connect(server)
  local second <close> = connect(server)
  testing.eventually(function() return server:stats().connections == 2 end)
  local third <close> = connect(server)
  lu.assertNil((third:read()))
  lu.assertEquals(server:stats().refused, 1)
  first:close()
  testing.eventually(function() return server:stats().connections == 1 end)
  lu.assertStrContains(origin.talk(server.port, LAST), "200 OK")
  second:write(LAST)
  lu.assertStrContains(second:read_all(), "200 OK")
end

function TestLoad:test_idle_connections_are_small()
  local server <close> = serve(function() return "x" end)
  local streams, before = {}, eddy.stats().bytes
  for i = 1, 100 do streams[i] = connect(server) end
  testing.eventually(function() return server:stats().connections == 100 end)
  for _, stream in ipairs(streams) do
    stream:write(GET)
    stream:read_until "\r\n\r\nx"
  end
  collectgarbage()
  collectgarbage()
  local each = (eddy.stats().bytes - before) / 100
  lu.assertTrue(each < 4096, each .. " bytes for both ends")   -- of ours; the kernel's buffers are its own
  for _, stream in ipairs(streams) do stream:close() end
end

function TestLoad.test_outside_out_of_descriptors()
  local script = [[
    local eddy, http, net = require "eddy", require "eddy.http", require "eddy.net"
    local server <close> = http.serve { handler = function() return "x" end }
    local streams, failed = {}, 0
    for i = 1, 100 do
      local in_time, got = eddy.within(1, net.connect, { host = "127.0.0.1", port = server.port })
      if in_time and got then streams[#streams + 1] = got else failed = failed + 1 end
      if i % 10 == 0 then eddy.sleep(0.01) end
    end
    local began = os.clock()
    eddy.sleep(1)
    assert(os.clock() - began < 0.3, "it spins")
    assert(failed > 0, "the limit was not reached")
    for _, stream in ipairs(streams) do stream:close() end
    eddy.sleep(0.2)
    local client <close> = http.client()
    local _, res, err = eddy.within(2, client.get, client, "http://127.0.0.1:" .. server.port .. "/")
    print(assert(res, err).body)
  ]]
  local result = process.run(("ulimit -n 64; exec %s -e %s"):format(process.quote(process.program), process.quote(script)))
  lu.assertEquals({ result.stdout, result.stderr, result.code }, { "x\n", "", 0 })
end

return {
  TestPieces = TestPieces, TestBody = TestBody, TestLeaving = TestLeaving, TestOther = TestOther, TestLoad = TestLoad,
}
