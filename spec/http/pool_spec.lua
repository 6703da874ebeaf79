-- SPDX-License-Identifier: MIT
-- The pool: reuse, limits, order of waiting, stale connections, closing, cancelling at each phase.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local origin = require "spec.http.origin"

local TestPool = {}

local function stats_of(client)
  local s = client:stats()
  return { s.opened, s.reused, s.closed, s.idle, s.busy, s.waiting }
end

function TestPool:test_reuse()
  local server <close> = origin.keep(origin.answer "x")
  local client <close> = http.client()
  lu.assertFalse(assert(client:get(server.url)).reused)
  lu.assertTrue(assert(client:get(server.url .. "other")).reused)
  lu.assertTrue(assert(client:head(server.url .. "other")).reused)
  lu.assertEquals(server.connections, 1)
end

function TestPool:test_reuse_is_counted()
  local server <close> = origin.keep(origin.answer "x")
  local client <close> = http.client()
  for _ = 1, 3 do assert(client:get(server.url)) end
  lu.assertEquals(stats_of(client), { 1, 2, 0, 1, 0, 0 })
end

function TestPool:test_close_is_obeyed()
  local server <close> = origin.keep(origin.answer("x", "Connection: close\r\n"))
  local client <close> = http.client()
  for _ = 1, 3 do assert(client:get(server.url)) end
  lu.assertEquals(stats_of(client), { 3, 0, 3, 0, 0, 0 })
end

function TestPool:test_max_per_host()
  local now_open, most = 0, 0
  local server <close> = assert(http.serve { handler = function()
    now_open = now_open + 1
    most = math.max(most, now_open)
    eddy.sleep(0.005)
    now_open = now_open - 1
    return "x"
  end })
  local client <close> = http.client { max_per_host = 3 }
  local tasks = {}
  for i = 1, 20 do tasks[i] = function() return assert(client:get("http://127.0.0.1:" .. server.port)).body end end
  lu.assertEquals(eddy.gather(tasks)[20], "x")
  lu.assertEquals(most, 3)
  lu.assertEquals(client:stats().opened, 3)
end

function TestPool:test_waiters_in_order()
  local order = {}
  local server <close> = assert(http.serve { handler = function(req)
    order[#order + 1] = tonumber(req.path:sub(2))
    eddy.sleep(0.001)
    return "x"
  end })
  local client <close> = http.client { max_per_host = 1 }
  local tasks = {}
  for i = 1, 10 do tasks[i] = function() return client:get(("http://127.0.0.1:%d/%d"):format(server.port, i)) end end
  eddy.gather(tasks)
  lu.assertEquals(order, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
end

function TestPool:test_waiting_is_inside_the_timeout()
  local server <close> = origin.hang ""
  local client <close> = http.client { max = 1 }
  local first = eddy.spawn(client.get, client, server.url, { timeout = 0.3 })
  eddy.sleep(0.05)
  local _, err = client:get(server.url, { timeout = 0.05 })
  lu.assertEquals({ err.kind, err.op }, { "timeout", "pool" })
  lu.assertEquals(client:stats().waiting, 0)
  first:await()
end

function TestPool:test_idle_to_others_gives_way()
  local one <close> = origin.keep(origin.answer "1")
  local two <close> = origin.keep(origin.answer "2")
  local client <close> = http.client { max = 1 }
  lu.assertEquals(assert(client:get(one.url)).body, "1")
  lu.assertEquals(assert(client:get(two.url)).body, "2")
  lu.assertEquals(stats_of(client), { 2, 0, 1, 1, 0, 0 })
end

function TestPool:test_place_passes_between_hosts()
  local one <close> = origin.keep(origin.answer "1")
  local two <close> = origin.keep(origin.answer("2", "Connection: close\r\n"))
  local client <close> = http.client { max = 1 }
  local got = eddy.gather {
    function() return assert(client:get(one.url)).body end,
    function() return assert(client:get(two.url)).body end,
    function() return assert(client:get(one.url)).body end,
  }
  lu.assertEquals({ got[1], got[2], got[3] }, { "1", "2", "1" })
end

function TestPool:test_stale_is_noticed()
  local server <close> = origin.raw(function(stream)
    origin.read_head(stream)
    stream:write(origin.answer "x")
  end)
  local client <close> = http.client()
  for _ = 1, 3 do
    assert(client:get(server.url))
    eddy.sleep(0.01)
  end
  lu.assertEquals(server.connections, 3)
end

--- The server closes the kept connection when the next request arrives.
local function closing_server()
  return origin.raw(function(stream)
    origin.read_head(stream)
    stream:write(origin.answer "x")
    origin.read_head(stream)
  end)
end

function TestPool:test_one_silent_repeat()
  local server <close> = closing_server()
  local client <close> = http.client()
  for _ = 1, 3 do lu.assertEquals(assert(client:get(server.url)).body, "x") end
  lu.assertEquals(server.connections, 3)
end

function TestPool:test_no_repeat_of_a_post()
  local server <close> = closing_server()
  local client <close> = http.client()
  assert(client:get(server.url))
  local _, err = client:post(server.url)
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "EOF", "head" })
  lu.assertEquals(server.connections, 1)
end

function TestPool:test_keep_alive_seconds()
  local server <close> = origin.keep(origin.answer "x")
  local short <close> = http.client { keep_alive = 0.02 }
  assert(short:get(server.url))
  eddy.sleep(0.03)
  lu.assertFalse(assert(short:get(server.url)).reused)
  local told <close> = origin.keep(origin.answer("x", "Keep-Alive: timeout=0\r\n"))
  local client <close> = http.client()
  assert(client:get(told.url))
  lu.assertFalse(assert(client:get(told.url)).reused)
end

local TestClose = {}

function TestClose:test_idle_and_busy_and_waiting()
  local server <close> = origin.raw(function(stream)
    while origin.read_head(stream) do eddy.sleep(0.2) stream:write(origin.answer "x") end
  end)
  local client = http.client { max = 1 }
  local busy = eddy.spawn(client.get, client, server.url)
  local waiting = eddy.spawn(client.get, client, server.url)
  eddy.sleep(0.05)
  client:close()
  client:close()
  for _, task in ipairs { busy, waiting } do
    local res, err = task:await()
    lu.assertNil(res)
    lu.assertEquals(err.kind, "closed")
  end
  lu.assertEquals(select(2, client:get(server.url)).kind, "closed")
  lu.assertEquals(client:stats().busy, 0)
end

function TestClose:test_pieces()
  local server <close> = origin.hang "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
  local client = http.client()
  local res <close> = assert(client:get(server.url, { stream = true }))
  res:read()
  client:close()
  local _, err = res:read()
  lu.assertEquals(err.kind, "closed")
end

local TestCancel = {}

--- Cancel a request `after` seconds; the client must be as new, and the next request must work.
local function cancel_after(client, after, url, good_url)
  local task = eddy.spawn(client.get, client, url)
  if after then eddy.sleep(after) end
  task:cancel()
  task:join()
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals(client:stats().busy, 0)
  if good_url then lu.assertEquals(assert(client:get(good_url)).body, "good") end
end

function TestCancel:test_each_phase()
  local good <close> = origin.keep(origin.answer "good")
  local cases = { "", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc" }
  for _, bytes in ipairs(cases) do
    local server <close> = origin.hang(bytes)
    local client <close> = http.client()
    cancel_after(client, 0.02, server.url, good.url)
    cancel_after(client, 0, server.url, good.url)
    cancel_after(client, nil, server.url, good.url)
  end
end

function TestCancel:test_while_waiting_for_a_place()
  local server <close> = origin.hang ""
  local client <close> = http.client { max = 1 }
  local first = eddy.spawn(client.get, client, server.url)
  eddy.sleep(0.01)
  local second = eddy.spawn(client.get, client, server.url)
  eddy.sleep(0.01)
  lu.assertEquals(client:stats().waiting, 1)
  second:cancel()
  second:join()
  lu.assertEquals(client:stats().waiting, 0)
  first:cancel()
  first:join()
  lu.assertEquals(client:stats().busy, 0)
end

function TestCancel:test_in_the_turn_a_place_is_handed_over()
  local server <close> = origin.keep(origin.answer "x")
  local client <close> = http.client { max = 1 }
  local held <close> = assert(client:get(server.url, { stream = true }))
  local second = eddy.spawn(client.get, client, server.url)
  eddy.sleep(0.01)
  lu.assertEquals(client:stats().waiting, 1)
  held:read_all()
  second:cancel()
  second:join()
  lu.assertEquals(stats_of(client)[5], 0)
  lu.assertEquals(assert(client:get(server.url)).body, "x")
end

--- Cancel `fn`, run as a task, after each number of passes through the scheduler until it ends by
--- itself; `check` after each.
local function cancel_everywhere(fn, check)
  local passes, task = 0
  repeat
    task = eddy.spawn(fn)
    for _ = 1, passes do eddy.sleep(0) end
    task:cancel()
    task:join()
    check()
    passes = passes + 1 + passes // 8   -- most passes only look for bytes that are under way
  until task:status() == "done"
  return passes
end

function TestCancel:test_everywhere()
  local server <close> = origin.keep(origin.answer "x")
  local client <close> = http.client()
  local requests = {
    function() assert(client:get(server.url)) end,
    function() assert(http.client():post(server.url, { body = ("x"):rep(100) })) end,
    function() lu.assertEquals(assert(client:get(server.url, { stream = true })):read_all(), "x") end,
  }
  for _, request in ipairs(requests) do
    local passes = cancel_everywhere(request, function()
      collectgarbage()
      lu.assertEquals(client:stats().busy, 0)
    end)
    lu.assertTrue(passes > 1)
    lu.assertEquals(assert(client:get(server.url)).body, "x")
  end
end

function TestCancel:test_upload()
  local server <close> = origin.raw(function() eddy.sleep(0.2) end)
  local client <close> = http.client()
  local task = eddy.spawn(client.post, client, server.url, { body = ("x"):rep(30e6) })
  eddy.sleep(0.05)
  task:cancel()
  task:join()
  lu.assertEquals(client:stats().busy, 0)
end

function TestCancel:test_many_random()
  local server <close> = assert(http.serve { handler = function(req)
    eddy.sleep(math.random() * 0.004)
    return req.path
  end })
  local client <close> = http.client { max = 7 }
  local tasks = {}
  for i = 1, 300 do
    tasks[i] = eddy.spawn(function()
      local path = "/" .. i
      return eddy.within(math.random() * 0.1, function()
        local res = assert(client:get("http://127.0.0.1:" .. server.port .. path))
        if res.body ~= path then error("crossed: " .. res.body) end
      end)
    end)
  end
  for i = 1, 300 do tasks[i]:await() end
  local stats = client:stats()
  lu.assertEquals({ stats.busy, stats.waiting }, { 0, 0 })
  lu.assertTrue(stats.idle <= 7)
end

return { TestPool = TestPool, TestClose = TestClose, TestCancel = TestCancel }
