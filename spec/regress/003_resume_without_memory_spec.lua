-- SPDX-License-Identifier: MIT
-- Without memory for one more level coroutine.resume raised instead of saying so, and a generator that
-- was being stepped then counted as running for ever.
local lu = ...
local eddy = require "eddy"
local probe = require("eddy.core").probe

local TestMemory = {}

function TestMemory:test_resume_never_raises()
  local co = eddy.coroutine.create(function() return "done" end)
  probe.fail(1)
  local ok, err = eddy.coroutine.resume(co)
  probe.fail()
  lu.assertEquals({ ok, err }, { false, "not enough memory" })
  lu.assertEquals({ eddy.coroutine.resume(co) }, { true, "done" })
end

function TestMemory:test_a_generator_can_be_closed()
  local nextval, _, _, closing = eddy.gen(function(emit) emit(1) end)
  probe.fail(1)
  lu.assertErrorMsgContains("not enough memory", nextval)
  probe.fail()
  closing:close()
end

return { TestMemory = TestMemory }
