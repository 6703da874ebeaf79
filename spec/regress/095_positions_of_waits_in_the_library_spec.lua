-- SPDX-License-Identifier: MIT
-- What waits in Lua code of the library (every, queue:iter, pool:get, net.connect, http.get and so on) told where
-- waiting is impossible by a line of that code, not by the line of the script that called it.
-- luacheck: ignore 512 (a loop that is left at once)
local lu = ...
local eddy = require "eddy"
local http, net, tls = require "eddy.http", require "eddy.net", require "eddy.tls"

local HERE = "095_positions_of_waits_in_the_library_spec.lua:%d: "

local pool = eddy.pool { open = function() return {} end }
local queue, url = eddy.queue(), "http://127.0.0.1:1/"
queue:try_put(1)

-- Each calls on one line, which is told by the second result.
local function line() return debug.getinfo(2, "l").currentline end
local calls = {
  every = function() return line(), function() for _ in eddy.every(1) do return end end end,
  iter = function() return line(), function() for _ in queue:iter() do return end end end,
  pool = function() return line(), function() pool:get() end end,
  pool_timeout = function() return line(), function() pool:get { timeout = 1 } end end,
  as_completed = function() return line(), function() for _ in eddy.as_completed { print } do return end end end,
  map = function() return line(), function() eddy.map({ 1 }, print) end end,
  connect = function() return line(), function() local ok = net.connect "127.0.0.1:1" return ok end end,
  tls = function() return line(), function() local ok = tls.connect "127.0.0.1:1" return ok end end,
  get = function() return line(), function() local res = http.get(url) return res end end,
  client = function() return line(), function() local res = http.client {}:get(url) return res end end,
  events = function() return line(), function() for _ in http.events(url) do return end end end,
  offload = function() return line(), function() local list = eddy.offload_map({ 1 }, print) return list end end,
}

local TestPosition = {}

local function check(name, what, run)
  local at, call = calls[name]()
  local ok, err = pcall(run, call)
  lu.assertFalse(ok, name)
  lu.assertStrContains(err, HERE:format(at) .. what)
end

function TestPosition:test_inside_what_cannot_be_suspended()
  local function sort(call) table.sort({ 2, 1 }, function() call() return false end) end
  for name in pairs(calls) do check(name, "cannot await inside 'sort'", sort) end
  lu.assertEquals({ queue:size(), eddy.stats().tasks }, { 1, 1 })
end

function TestPosition:test_inside_atomic()
  for name in pairs(calls) do
    if name ~= "as_completed" then check(name, "cannot await inside eddy.atomic", eddy.atomic) end
  end
end

function TestPosition:test_outside_of_a_run()
  for name in pairs(calls) do check(name, "cannot await outside a task", function(call) call() end) end
  lu.assertErrorMsgContains("095_positions", function() local server = http.serve { handler = print } return server end)
end

return { TestPosition = TestPosition }
