-- SPDX-License-Identifier: MIT
-- A group that was opened around a coroutine and closed inside took its block away from under the
-- coroutine: a yield, an error, and the end of the coroutine looked at freed memory.
local lu = ...
local eddy = require "eddy"

local TestGroup = { clock = "manual" }

local function close_in(group)
  local ok, err = pcall(function() local _ <close> = group end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "closed in another coroutine than it was opened in")
end

function TestGroup:test_yield()
  local ended
  do
    local group <close> = eddy.group()
    group:spawn(function() eddy.sleep(1) ended = true end)
    local co = coroutine.wrap(function()
      close_in(group)
      coroutine.yield "yielded"
      close_in(group)
      return "returned"
    end)
    lu.assertEquals(co(), "yielded")
    eddy.sleep(0)
    lu.assertEquals(co(), "returned")
  end
  lu.assertTrue(ended)   -- it was still there, and has waited
end

function TestGroup:test_error()
  lu.assertEquals(eddy.group(function()
    local group <close> = eddy.group()
    local co = coroutine.create(function()
      close_in(group)
      error "expected"
    end)
    local ok, err = coroutine.resume(co)
    lu.assertFalse(ok)
    lu.assertStrContains(err, "expected")
    eddy.sleep(0)
    return "result"
  end), "result")
end

-- One that the coroutine has opened itself is its own.
function TestGroup:test_own_group()
  local closed = coroutine.wrap(function()
    do
      local group <close> = eddy.group()
      group:spawn(eddy.sleep, 1)
    end
    coroutine.yield "closed"
  end)
  lu.assertEquals(closed(), "closed")
end

-- Nor in a finalizer, which may run in the middle of anything.
function TestGroup:test_finalizer()
  local group <close> = eddy.group()
  local ok, err
  setmetatable({}, { __gc = function() ok, err = pcall(function() local _ <close> = group end) end })
  repeat collectgarbage() until ok ~= nil
  lu.assertFalse(ok)
  lu.assertStrContains(err, "finalizer")
  local task = group:spawn(eddy.sleep, 1)
  lu.assertEquals(task:status(), "ready")   -- it is open still
end

return { TestGroup = TestGroup }
