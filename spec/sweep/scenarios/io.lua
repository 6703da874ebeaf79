-- SPDX-License-Identifier: MIT
-- Scenarios of streams, names and HTTP on this machine. See spec/sweep/run.lua.
local eddy = require "eddy"
local net = require "eddy.net"
local http = require "eddy.http"

local scenarios = {}

local function local_target(listener) return { host = "127.0.0.1", port = listener.port } end

-- A peer that serves each connection in its own task, for as long as `fn` runs. A stream belongs to
-- the list until its task has begun: one that is cancelled before never runs.
local function with_server(listener, serve, fn)
  local waiting = setmetatable({}, { __close = function(self)
    for stream in pairs(self) do stream:close() end
  end })
  local _ <close> = waiting
  eddy.group(function(group)
    group:spawn(function()
      for stream in listener:incoming() do
        waiting[stream] = true
        group:spawn(function()
          waiting[stream] = nil
          local mine <close> = stream
          serve(mine)
        end)
      end
    end)
    fn()
    group:cancel()
  end)
end

local function echo(stream)
  for line in stream:lines() do
    if not stream:write(line, "\n") then return end
  end
end

function scenarios.tcp_echo(s)
  local listener <close> = assert(net.listen { port = 0 })
  with_server(listener, echo, function()
    local _ <close> = s.guard()
    local stream <close> = assert(net.connect(local_target(listener)))
    for i = 1, 3 do
      assert(stream:write("line ", i, "\n"))
      assert(stream:read_line() == "line " .. i)
    end
  end)
end

function scenarios.unix_echo(s)
  local path = os.tmpname()
  os.remove(path)
  local listener <close> = assert(net.listen { path = path })
  with_server(listener, echo, function()
    local _ <close> = s.guard()
    local stream <close> = assert(net.connect { path = path })
    assert(stream:write "hello\n")
    assert(stream:read_until "\n" == "hello\n")
  end)
end

function scenarios.connect_by_name(s)
  local listener <close> = assert(net.listen { port = 0 })
  local accepter = eddy.spawn(function()
    local stream <close> = assert(listener:accept())
    stream:read()
  end)
  do
    local _ <close> = s.guard()
    local stream <close> = assert(net.connect("localhost:" .. listener.port))
    stream:write "x"
  end
  accepter:join()
end

function scenarios.connect_refused(s)
  local port
  do
    local listener <close> = assert(net.listen { port = 0 })
    port = listener.port
  end
  local _ <close> = s.guard()
  local stream, err = net.connect { host = "127.0.0.1", port = port }
  assert(stream == nil and (err.code == "ECONNREFUSED" or err.code == "ENOMEM"), tostring(err))
end

function scenarios.accept_waits(s)
  local listener <close> = assert(net.listen { port = 0 })
  local first = eddy.spawn(function() local _ <close> = s.guard() return listener:accept() end)
  local second = eddy.spawn(function() local _ <close> = s.guard() return listener:accept() end)
  eddy.sleep(1)
  first:cancel()
  listener:close()
  first:join()
  second:join()
end

function scenarios.read_waits(s)
  local listener <close> = assert(net.listen { port = 0 })
  local far <close> = assert(net.connect(local_target(listener)))
  local near <close> = assert(listener:accept())
  eddy.within(1, function()
    local _ <close> = s.guard()
    near:read()
  end)
  far:write "abc"
  assert(near:read_exactly(3) == "abc")
  assert(far:shutdown())
  assert(near:read() == nil)
end

function scenarios.write_waits(s)
  local listener <close> = assert(net.listen { port = 0 })
  local far <close> = assert(net.connect(local_target(listener)))
  local near <close> = assert(listener:accept())
  local big = ("x"):rep(4 * 1024 * 1024)
  eddy.group(function(group)
    group:spawn(function()
      local _ <close> = s.guard()
      assert(far:write(big))
      far:shutdown()
    end)
    local got = 0
    while true do
      local piece = near:read()
      if not piece then break end
      got = got + #piece
    end
    s.got = got
  end)
end

function scenarios.closed_under_its_reader(s)
  local listener <close> = assert(net.listen { port = 0 })
  local far <close> = assert(net.connect(local_target(listener)))
  local near <close> = assert(listener:accept())
  local reader = eddy.spawn(function() local _ <close> = s.guard() return near:read() end)
  eddy.sleep(1)
  near:close()
  reader:join()
  far:close()
end

local function serve_http(fn)
  local server, err = http.serve { handler = function(req)
    if req.path == "/slow" then eddy.sleep(5) end
    return 200, { ["X-Path"] = req.path }, "body of " .. req.path
  end }
  if not server then error(err, 0) end
  local _ <close> = server
  fn("http://127.0.0.1:" .. server.port)
end

function scenarios.http_exchange(s)
  serve_http(function(url)
    local client <close> = http.client()
    for i = 1, 2 do
      local _ <close> = s.guard()
      local res = assert(client:get(url .. "/" .. i))
      assert(res.status == 200 and res.body == "body of /" .. i)
    end
  end)
end

function scenarios.http_times_out(s)
  serve_http(function(url)
    local client <close> = http.client()
    local _ <close> = s.guard()
    local res, err = client:get(url .. "/slow", { timeout = 1 })
    assert(res == nil and err ~= nil)
  end)
end

function scenarios.http_at_once(s)
  serve_http(function(url)
    local client <close> = http.client { max_per_host = 2 }
    local list = {}
    for i = 1, 4 do
      list[i] = function()
        local _ <close> = s.guard()
        return assert(client:get(url .. "/" .. i)).body
      end
    end
    eddy.gather(list)
  end)
end

-- A peer that is taken away, or has no memory, is seen here as many different errors; and as silence,
-- which must not last for ever.
for name, scenario in pairs(scenarios) do
  scenarios[name] = { is_loose = true, run = function(s) eddy.timeout(1000, scenario, s) end }
end

return scenarios
