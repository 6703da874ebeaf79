-- SPDX-License-Identifier: MIT
-- The coroutine of a task that waits, closed or resumed with the library's own functions, which were
-- taken before ours were there: the task ends, with its children and its blocks, and nothing else does.
local lu = ...
local eddy = require "eddy"
local stock = require "spec.support.stock"

local TestStolen = { clock = "manual" }

local function victim()
  local it = { closed = 0 }
  it.task = eddy.spawn(function()
    it.co = coroutine.running()
    local function guard() return setmetatable({}, { __close = function() it.closed = it.closed + 1 end }) end
    local _ <close> = guard()
    eddy.spawn(function()
      local _ <close> = guard()
      eddy.sleep(10)
    end)
    local group <close> = eddy.group()
    group:spawn(function()
      local _ <close> = guard()
      eddy.sleep(10)
    end)
    eddy.sleep(5)
  end)
  eddy.sleep(1)
  return it
end

function TestStolen:test_closed()
  local it = victim()
  stock.close(it.co)
  it.co = nil
  collectgarbage()
  local ok, err = it.task:join()
  lu.assertEquals({ ok, err }, { false, "cannot resume dead coroutine" })
  lu.assertEquals({ it.task:status(), it.closed }, { "failed", 3 })
end

function TestStolen:test_resumed()
  local it = victim()
  stock.resume(it.co)
  it.co = nil
  collectgarbage()
  local ok = it.task:join()
  lu.assertFalse(ok)
  lu.assertEquals({ it.task:status(), it.closed }, { "failed", 3 })
end

-- Ours refuse.
function TestStolen:test_ours()
  local it = victim()
  lu.assertErrorMsgContains("waiting in an await", coroutine.close, it.co)
  lu.assertEquals(coroutine.resume(it.co), false)
  lu.assertTrue((it.task:join()))
end

return { TestStolen = TestStolen }
