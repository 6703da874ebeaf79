-- SPDX-License-Identifier: MIT
-- Scenarios of the HTTP server: what a handler may do, files, codings, TLS, stopping. See
-- spec/sweep/run.lua. What zlib and OpenSSL themselves ask memory for is not counted here.
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"

local scenarios = {}

local TEXT = ("a line of text\n"):rep(200)
local TYPED = { ["Content-Type"] = "text/plain" }

--- Serve, ask, stop. A server without memory is an error like any other.
local function with_server(options, fn)
  local server, err = http.serve(options)
  if not server then error(err, 0) end
  local guard <close> = server
  fn(server, "http://127.0.0.1:" .. server.port)
end

--- An answer, or why there is none; a peer that is taken away is no mistake of the scenario.
local function ask(client, url, options, expected)
  local res, err = client:request(options and options.body and "POST" or "GET", url, options)
  assert(res or err)
  if res and res.status == 200 and expected then assert(res.body == expected, "another body") end
  return res
end

-- Whole, in pieces, from an iterator; coded and not.
function scenarios.server_answers(s)
  local function handler(req)
    local _ <close> = s.guard()
    if req.path == "/whole" then return TEXT end
    if req.path == "/iterator" then
      local n = 0
      return 200, TYPED, function()
        n = n + 1
        return n <= 2 and TEXT or nil
      end
    end
    local res <close> = req:respond { headers = TYPED }
    assert(res:write(TEXT))
    eddy.sleep(0.1)
    assert(res:write(TEXT))
  end
  with_server({ handler = handler }, function(_, url)
    local client <close> = http.client()
    ask(client, url .. "/whole", nil, TEXT)
    ask(client, url .. "/whole", { decode = false }, TEXT)
    ask(client, url .. "/iterator", nil, TEXT .. TEXT)
    ask(client, url .. "/pieces", nil, TEXT .. TEXT)
  end)
end

-- A body that the handler reads, in pieces or as JSON, and work behind the answer.
function scenarios.server_bodies(s)
  local function handler(req)
    local _ <close> = s.guard()
    req:after(function()
      local _ <close> = s.guard()
      eddy.sleep(1)
    end)
    local sum = 0
    for piece in req:chunks() do sum = sum + #piece end
    return tostring(sum)
  end
  with_server({ handler = handler, stream = true }, function(server, url)
    local client <close> = http.client()
    local n = 0
    ask(client, url, { body = function()
      n = n + 1
      return n <= 3 and TEXT or nil
    end }, tostring(3 * #TEXT))
    ask(client, url, { body = TEXT }, tostring(#TEXT))
    server:stop { grace = 10 }
  end)
end

-- The file is this one.
function scenarios.server_files(s)
  with_server({ handler = function(req)
    local _ <close> = s.guard()
    if req.path == "/none" then return { file = "spec/sweep/scenarios/none" } end
    return http.file("spec/sweep/scenarios/server.lua", { content_type = "text/plain" })
  end }, function(_, url)
    local client <close> = http.client()
    local whole = ask(client, url .. "/")
    local part = ask(client, url .. "/", { headers = { Range = "bytes=3-9" } })
    if part and part.status == 206 then assert(part.body == "SPDX-Li") end
    if whole and whole.status == 200 then
      local same = ask(client, url .. "/", { headers = { ["If-None-Match"] = whole.headers.etag } })
      assert(not same or same.status == 304 or same.status >= 500)
    end
    ask(client, url .. "/none")
  end)
end

function scenarios.server_events(s)
  with_server({ handler = function(req)
    local _ <close> = s.guard()
    local events <close> = req:events { retry = 1 }
    for i = 1, 3 do
      if not events:send { id = i, data = "event " .. i } then return end
      eddy.sleep(1)
    end
  end }, function(_, url)
    local client <close> = http.client()
    eddy.within(20, function()
      for event in client:events(url) do
        if event.data == "event 2" then break end
      end
    end)
  end)
end

-- Another protocol over the same connection.
function scenarios.server_upgrade(s)
  with_server({ handler = function(req)
    local _ <close> = s.guard()
    local stream <close>, err = req:upgrade { Upgrade = "echo" }
    if not stream then error(err, 0) end
    local line = stream:read_line()
    if line then stream:write(line, "\n") end
  end }, function(server)
    local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
    assert(stream:write "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly\n")
    local head = stream:read_until "\r\n\r\n"
    if head and head:find " 101 " then assert(stream:read_line() == "early") end
  end)
end

-- The time of a handler is over; a peer is silent; one leaves; then the server stops.
function scenarios.server_late(s)
  with_server({ timeout = 2, header_timeout = 2, handler = function()
    local _ <close> = s.guard()
    eddy.sleep(30)
  end }, function(server, url)
    local silent <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
    silent:write "GET / HT"
    local client <close> = http.client()
    ask(client, url)
    do
      local leaving <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
      leaving:write "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      eddy.sleep(1)
    end
    server:stop(1)
  end)
end

-- Pipelined requests, the last of them refused.
function scenarios.server_pipelined(s)
  with_server({ handler = function(req)
    local _ <close> = s.guard()
    return req.path
  end }, function(server)
    local stream <close> = assert(net.connect { host = "127.0.0.1", port = server.port })
    assert(stream:write("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n"))
    stream:read_all()
  end)
end

-- As in io.lua: the number of turns is the system's business.
for name, scenario in pairs(scenarios) do
  scenarios[name] = { is_loose = true, run = function(s) eddy.timeout(1000, scenario, s) end }
end

return scenarios
