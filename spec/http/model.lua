-- SPDX-License-Identifier: MIT
-- Random requests over one small pool: whole, in pieces, timed out, cancelled, abandoned half read.
-- Each answer that comes must be the one to its own request; no place in the pool may be lost.
local eddy = require "eddy"
local http = require "eddy.http"

local TASKS = 12

local function must(condition, text) if not condition then error(text, 2) end end

--- The answer to a request, if there is one, is its own; counted.
local function see(count, body, wanted)
  if body == nil then return end
  must(body == wanted, "an answer was crossed")
  count.answered = count.answered + 1
end

local ways = {
  function(client, url, wanted, count)
    local in_time, res = eddy.within(math.random() * 0.003, client.get, client, url)
    see(count, in_time and res and res.body or nil, wanted)
  end,
  function(client, url, wanted, count)
    local res = client:get(url, { timeout = math.random() * 0.003 })
    see(count, res and res.body, wanted)
  end,
  function(client, url, wanted, count)
    local task = eddy.spawn(client.get, client, url)
    eddy.sleep(math.random() * 0.002)
    task:cancel()
    local ok, res = task:join()
    see(count, ok and res and res.body or nil, wanted)
  end,
  function(client, url, wanted, count)
    local res = assert(client:get(url, { stream = true }))
    local first = res:read(2)
    if math.random(2) == 1 then return res:close() end
    see(count, first .. res:read_all(), wanted)
  end,
  function(client, url, wanted, count) see(count, assert(client:get(url)).body, wanted) end,
  function(client, url, wanted, count)
    local body = client:post(url, { idle_timeout = 1, body = coroutine.wrap(function() coroutine.yield "x" end) })
    see(count, assert(body).body, wanted)
  end,
}

--- Send so many requests; answers how many went over a kept connection, and how many were answered.
return function(requests)
  local server <close> = assert(http.serve { handler = function(req)
    if math.random(3) == 1 then eddy.sleep(math.random() * 0.002) end
    return req.target
  end })
  local client <close> = http.client { max = 8, max_per_host = 6 }
  local count = { answered = 0 }
  local url, id = ("http://127.0.0.1:%d/"):format(server.port), 0
  eddy.group(function(group)
    for _ = 1, TASKS do
      group:spawn(function()
        while id < requests do
          id = id + 1
          ways[math.random(#ways)](client, url .. id, "/" .. id, count)
        end
      end)
    end
  end)
  local stats = client:stats()
  must(stats.busy == 0 and stats.waiting == 0, "a place in the pool was lost")
  return stats.reused, count.answered
end
