-- SPDX-License-Identifier: MIT
-- The eight questions for what the client waits for in more than one place: an upload with a clock
-- beside it, and the pieces of a body with a coding.
local lu = ...
local eddy = require "eddy"
local http = require "eddy.http"
local origin = require "spec.http.origin"
local waits = require "spec.support.waits"

local function gzip(text)
  local encoder <close> = require "eddy.core".coding.gzip()
  return encoder:feed(text) .. encoder:finish()
end

--- A server that answers once its gate is open.
local function gated()
  local gate = eddy.event()
  local server = origin.raw(function(stream)
    origin.read_head(stream)
    gate:wait()
    stream:write(origin.answer(gzip "hello", "Content-Encoding: gzip\r\n"))
  end)
  local client = http.client()
  local closer = { close = function() getmetatable(server).__close(server) end }
  return waits.env({ gate = gate, client = client, url = server.url }, client, closer)
end

local function finish(env) env.gate:set() end
local function close(env) env.client:close() end

local TestUpload = waits.class(lu, {
  setup = gated, finish = finish, close = close,
  wait = function(env)
    return env.client:post(env.url, { idle_timeout = 10, body = coroutine.wrap(function() coroutine.yield "x" end) })
  end,
  check = function(_, env, res, err)
    lu.assertNil(err)
    lu.assertEquals(res.body, "hello")
    lu.assertEquals(env.client:stats().busy, 0)
  end,
})

local TestPieces = waits.class(lu, {
  setup = gated, finish = finish, close = close,
  wait = function(env)
    local res, err = env.client:get(env.url, { stream = true })
    if not res then return nil, err end
    local guard <close> = res   -- luacheck: ignore 211
    return res:read_all()
  end,
  check = function(_, env, text, err)
    lu.assertNil(err)
    lu.assertEquals(text, "hello")
    lu.assertEquals(env.client:stats().busy, 0)
  end,
})

return { TestUpload = TestUpload, TestPieces = TestPieces }
