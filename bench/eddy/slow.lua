-- SPDX-License-Identifier: MIT
-- slow.lua SENDERS: how long normal requests take, alone and while so many connections send a head
-- byte by byte, one in ten seconds each, until the server has had enough and they begin anew. Server,
-- slow senders and this process are three. Prints the ratio of the 99th percentiles, and both in
-- milliseconds.
--     slow.lua SENDERS PORT        the slow senders themselves
local eddy = require "eddy"
local http = require "eddy.http"
local net = require "eddy.net"
local measure = dofile "bench/measure.lua"

local SECONDS, TASKS, PAUSE = 4, 10, 0.01
local BETWEEN, ALL_BEGIN = 10, 4   -- seconds
local HEAD = "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: yes\r\n\r\n"

local senders, port = tonumber(arg[1]), tonumber(arg[2])

-- ---- Slow senders ------------------------------------------------------------------------------

local function send_slowly()
  while true do
    local stream <close> = net.connect { host = "127.0.0.1", port = port }
    for i = 1, stream and #HEAD or 0 do
      if not stream:write(HEAD:sub(i, i)) then break end
      eddy.sleep(BETWEEN)
    end
    if not stream then eddy.sleep(1) end
  end
end

local function begin_all()
  for i = 1, senders do
    eddy.spawn(send_slowly)
    if i % 10 == 0 then eddy.sleep(ALL_BEGIN / (senders / 10)) end
  end
  print "ready"
  io.stdout:flush()
end

if port then
  eddy.run(eddy.within, 60, begin_all)   -- if nobody ends us
  return
end

-- ---- Normal requests ---------------------------------------------------------------------------

local function quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

--- A program of ours beside this one: its first line, and its number for `kill`.
local function start(...)
  local words = {}
  for i, word in ipairs { arg[-1], ... } do words[i] = quote(word) end
  local pipe = assert(io.popen(table.concat(words, " ") .. " & echo $!"))
  local pid = pipe:read "l"
  return pipe:read "l", pid
end

--- The 99th percentile of what requests take in some seconds.
local function p99(url)
  local took, over = {}, eddy.now() + SECONDS
  local function ask()
    while eddy.now() < over do
      local began = eddy.now()
      assert(http.get(url))
      took[#took + 1] = eddy.now() - began
      eddy.sleep(PAUSE)
    end
  end
  local tasks = {}
  for i = 1, TASKS do tasks[i] = ask end
  eddy.gather(tasks)
  table.sort(took)
  return took[math.ceil(#took * 0.99)]
end

local server_port, server = start "bench/eddy/http_peer.lua"
local slow
local ok, problem = pcall(eddy.run, function()
  local url = "http://127.0.0.1:" .. server_port .. "/"
  local alone = p99(url)
  slow = select(2, start("bench/eddy/slow.lua", senders, server_port))
  local among = p99(url)
  measure.report(among / alone, alone * 1e3, among * 1e3)
end)
os.execute("kill " .. server .. " " .. (slow or ""))
if not ok then error(problem, 0) end
