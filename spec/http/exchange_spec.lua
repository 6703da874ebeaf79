-- SPDX-License-Identifier: MIT
-- The waits of HTTP themselves (exchange, read_body) and what can happen to each: it
-- succeeds and fails (client_spec, bad_spec, server_spec), is cancelled before it starts, while
-- pending and in the turn it completes, its stream is closed under it, its state is closed.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"
local origin = require "spec.http.origin"
local process = require "spec.support.process"

local native = core.http
local HEAD = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local connect = require "spec.support.serving".connect

--- The waits: each on a stream whose peer says nothing, with what makes it complete.
local WAITS = {
  exchange = {
    start = function(stream, message) return native.exchange(stream, message, HEAD) end,
    answer = origin.answer "x",
  },
  fetch = {
    start = function(stream, message) return native.fetch(stream, message, HEAD) end,
    answer = origin.answer "x",
  },
  read_body = {
    start = function(stream, message)
      assert(native.exchange(stream, message, HEAD, nil, -1, true))
      return native.read_body(stream, message)
    end,
    before = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
    answer = "x",
  },
}

--- A server that sends `before` at once and `answer` when it is told to.
local function prompted(wait)
  local told = eddy.event()
  local server = origin.raw(function(stream)
    origin.read_head(stream)
    if wait.before then stream:write(wait.before) end
    told:wait()
    stream:write(wait.answer)
    stream:read()
  end)
  return server, told
end

local TestWaits = {}

for name, wait in pairs(WAITS) do
  --- Start the wait in a task, let it become pending, and do something to it.
  local function try(act)
    local server <close>, told = prompted(wait)
    local stream <close> = connect(server)
    local message = native.message()
    local task = eddy.spawn(wait.start, stream, message)
    act(task, stream, told, message)
  end

  TestWaits["test_" .. name .. "_succeeds"] = function()
    try(function(task, _, told)
      eddy.sleep(0.01)
      told:set()
      lu.assertNotNil(task:await())
    end)
  end

  TestWaits["test_" .. name .. "_cancelled_before_start"] = function()
    try(function(task)
      task:cancel()
      task:join()
      lu.assertEquals(task:status(), "cancelled")
    end)
  end

  TestWaits["test_" .. name .. "_cancelled_while_pending"] = function()
    try(function(task, stream, _, message)
      eddy.sleep(0.01)
      task:cancel()
      task:join()
      lu.assertEquals(task:status(), "cancelled")
      lu.assertFalse(message:is_reusable(stream))
      local _, err = stream:write "x"
      lu.assertEquals(err.kind, "closed")
    end)
  end

  TestWaits["test_" .. name .. "_cancelled_in_the_turn_it_completes"] = function()
    for passes = 0, 6 do
      try(function(task, _, told)
        eddy.sleep(0.005)
        told:set()
        for _ = 1, passes do eddy.sleep(0) end
        task:cancel()
        local ok, result = task:join()   -- either of them came first, and it is that whole
        if ok then lu.assertNotNil(result) else lu.assertTrue(eddy.is(result, "cancelled")) end
        lu.assertEquals(task:status(), ok and "done" or "cancelled")
      end)
    end
  end

  TestWaits["test_" .. name .. "_closed_under_it"] = function()
    try(function(task, stream)
      eddy.sleep(0.01)
      stream:close()
      local result, err = task:await()
      lu.assertNil(result)
      lu.assertEquals({ err.kind, err.code }, { "closed", "ECLOSED" })
    end)
  end
end

function TestWaits:test_closed_before()
  local server <close> = origin.keep(origin.answer "x")
  local stream = connect(server)
  stream:close()
  local result, err = native.exchange(stream, native.message(), HEAD)
  lu.assertNil(result)
  lu.assertEquals(err.kind, "closed")
end

function TestWaits:test_fetch_takes_only_what_is_fit()
  local server <close> = origin.keep(origin.answer "x")
  local stream, message = connect(server), native.message()
  for _ = 1, 2 do
    local status, head, body, prospect = native.fetch(stream, message, HEAD)
    lu.assertEquals({ status, body, prospect }, { 200, "x", 0 })
    lu.assertEquals(head:sub(1, 15), "HTTP/1.1 200 OK")
  end
  stream:close()
  lu.assertIs(native.fetch(stream, message, HEAD), false)
  lu.assertError(native.fetch, stream, stream, HEAD)
  lu.assertError(native.fetch, message, message, HEAD)
end

function TestWaits:test_what_fetch_says_of_an_answer()
  local fields = { [1] = "Content-Encoding: br\r\n", [2] = "set-cookie: a=b\r\n", [4] = "KEEP-ALIVE: timeout=1\r\n",
    [8] = "Connection: close\r\n", [6] = "Set-Cookie: a=b\r\nKeep-Alive: x\r\n", [0] = "Content-Encodinx: br\r\n" }
  for prospect, field in pairs(fields) do
    local server <close> = origin.keep(origin.answer("x", field))
    local stream <close> = connect(server)
    lu.assertEquals(select(4, native.fetch(stream, native.message(), HEAD)), prospect)
  end
end

function TestWaits:test_two_at_once()
  local server <close> = origin.hang ""
  local stream <close> = connect(server)
  local message = native.message()
  local first = eddy.spawn(native.exchange, stream, message, HEAD)
  eddy.sleep(0)
  local _, err = native.exchange(stream, native.message(), HEAD)
  lu.assertEquals(err.code, "EBUSY")
  first:cancel()
end

function TestWaits:test_misuse()
  lu.assertError(native.exchange, 1, 2, HEAD)
  lu.assertError(native.fields, "no head\r\nnothing\r\n\r\n")
  lu.assertError(native.read_body, io.stdout, native.message())
end

function TestWaits.test_outside_state_closed_while_pending()
  for _, last in ipairs { "os.exit(0, true)", "error 'stop'" } do
    local script = [[
      local eddy, http, net = require "eddy", require "eddy.http", require "eddy.net"
      local listener = assert(net.listen { port = 0 })
      eddy.spawn(function() while true do listener:accept() end end)
      local server = assert(http.serve { handler = function() eddy.sleep(100) end })
      local silent = ("http://127.0.0.1:%d/"):format(listener.port)
      local client = http.client { max = 3 }
      eddy.spawn(http.get, silent)
      eddy.spawn(http.get, ("http://127.0.0.1:%d/"):format(server.port))
      eddy.spawn(client.post, client, silent, { body = ("x"):rep(5e6) })
      for _ = 1, 3 do eddy.spawn(client.get, client, silent, { stream = true }) end
      eddy.sleep(0.05)
      ]] .. last
    local result = process.eddy { "-e", script }
    lu.assertEquals({ result.signal, result.code, result.stderr:find "Sanitizer" }, { nil, last:find "os.exit" and 0 or 1, nil })
  end
end

return { TestWaits = TestWaits }
