-- SPDX-License-Identifier: MIT
-- Calls of eddy.net and eddy.http where waiting is impossible raised at a line of our own, not at the caller's.
local lu = ...
local eddy = require "eddy"

local TestPositions = {}

local CALLS = {
  connect = "local _ = net.connect '127.0.0.1:1'",
  connect_path = "local _ = net.connect 'unix:/nowhere'",
  get = "local _ = http.get 'http://127.0.0.1:1/'",
  post = "local _ = http.request('POST', 'http://127.0.0.1:1/', { body = 'x' })",
  no_url = "local _ = http.get 'nowhere'",
  client = "local client = http.client {} local _ = client:get 'http://127.0.0.1:1/'",
  download = "local _ = http.download('http://127.0.0.1:1/', '/nowhere/at/all')",
  events = "for _ in http.events 'http://127.0.0.1:1/' do end",
}

local function message_of(source)
  local chunk = assert(load("local net, http = ... " .. source, "=scr"))
  local ok, err = pcall(chunk, require "eddy.net", require "eddy.http")
  lu.assertFalse(ok, source)
  return err
end

function TestPositions:test_outside_a_task()
  for name, source in pairs(CALLS) do
    lu.assertEquals(message_of(source), "scr:1: cannot await outside a task; use eddy.run", name)
  end
  for _, target in ipairs { "127.0.0.1:0", "unix:/nowhere/at/all" } do
    lu.assertStrMatches(message_of(("local _ = net.listen %q"):format(target)), "scr:1: the loop does not run: .*")
  end
end

function TestPositions:test_inside_atomic()
  for name, source in pairs(CALLS) do
    eddy.atomic(function() lu.assertEquals(message_of(source), "scr:1: cannot await inside eddy.atomic", name) end)
  end
end

return { TestPositions = TestPositions }
