-- SPDX-License-Identifier: MIT
-- Misuse of methods that are written in Lua was told at a line of eddy's, and some of it only where
-- something else failed of it.
local lu = ...
local eddy = require "eddy"

local TestPosition = {}

local HERE = "006_positions_of_misuse_spec.lua:"

local function expect(text, fn, ...)
  local args = table.pack(...)
  local ok, err = pcall(function()
    local value = fn(table.unpack(args, 1, args.n))
    return value
  end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, HERE)
  lu.assertStrContains(err, text)
end

function TestPosition:test_with()
  for _, new in ipairs { function() return eddy.semaphore(1) end, eddy.lock } do
    local object = new()
    expect("bad self", object.with, nil, print)
    expect("bad self", object.with, eddy.event(), print)
    expect("function expected", object.with, object, 5)
    expect("function expected", object.with, object)
    eddy.atomic(expect, "cannot await inside eddy.atomic", object.with, object, print)
    lu.assertEquals(object:with(function(...) return select("#", ...) end, nil, nil), 2)
  end
end

function TestPosition:test_lock_held()
  local lock = eddy.lock()
  local _ <close> = lock:acquire()
  expect("already held", lock.with, lock, print)
end

function TestPosition:test_wait_for()
  local condition = eddy.condition()
  expect("bad self", condition.wait_for, nil, print)
  expect("function expected", condition.wait_for, condition)
  expect("not held", condition.wait_for, condition, print)
  local _ <close> = condition.lock:acquire()
  eddy.atomic(expect, "cannot await inside eddy.atomic", condition.wait_for, condition, print)
end

function TestPosition:test_queue_and_pool()
  expect("bad self", eddy.queue().iter, {})
  local pool <close> = eddy.pool { open = function() return 1 end }
  for _, name in ipairs { "get", "stats", "close" } do expect("bad self", pool[name], {}) end
  local slot <close> = pool:get()
  for _, name in ipairs { "release", "discard" } do expect("bad self", slot[name], {}) end
end

function TestPosition:test_dump()
  expect("function expected", eddy.dump, 5)
  expect("function expected", eddy.dump, false)
end

return { TestPosition = TestPosition }
