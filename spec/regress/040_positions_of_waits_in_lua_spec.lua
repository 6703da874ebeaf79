-- SPDX-License-Identifier: MIT
-- Waits that are written in Lua (every, as_completed, queue:iter, pool:get, offload_map) raised at a line of our own where
-- waiting is impossible, not at the line of who called them.
local lu = ...
local eddy = require "eddy"

local TestPositions = {}

local CALLS = {
  every = "local next_tick = eddy.every(1) local _ = next_tick()",
  every_loop = "for _ in eddy.every(1) do end",
  completed = "for _ in eddy.as_completed { print } do end",
  completed_nothing = "for _ in eddy.as_completed {} do end",
  iter = "for _ in eddy.queue():iter() do end",
  pool = "local _ = eddy.pool { open = function() return 1 end }:get()",
  closed_pool = "local pool = eddy.pool { open = function() return 1 end } pool:close() local _ = pool:get()",
  offload_map = "local _ = eddy.offload_map({}, function() end)",
  map = "local _ = eddy.map({}, print)",
  each = "local _ = eddy.each(function() end, print)",
}

local function compile(source) return assert(load("local eddy = ... " .. source, "=scr")) end

local function message_of(how, source)
  local ok, err = true, nil
  how(function() ok, err = pcall(compile(source), eddy) end)
  lu.assertFalse(ok, source)
  return err
end

local function check(how, reason)
  for name, source in pairs(CALLS) do
    lu.assertEquals(message_of(how, source), "scr:1: " .. reason, name)
  end
end

function TestPositions:test_outside_a_task()
  check(function(call) call() end, "cannot await outside a task; use eddy.run")
end

function TestPositions:test_inside_sort()
  check(function(call) table.sort({ 1, 2 }, function() call() return false end) end,
    "cannot await inside 'sort' (a C function that cannot be suspended)")
end

function TestPositions:test_inside_atomic()
  check(eddy.atomic, "cannot await inside eddy.atomic")
end

return { TestPositions = TestPositions }
