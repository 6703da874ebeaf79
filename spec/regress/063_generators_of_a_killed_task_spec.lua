-- SPDX-License-Identifier: MIT
-- Generators that are left in the middle were a way around a limit: what they close at the end of a killed task
-- had no bound, and their finalizer, which nothing can stop, called metamethods that a script had put there.
local lu = ...
local eddy = require "eddy"

local TestLeft = {}

local function endless() while true do end end

local function run_limited(fn)
  return eddy.run(function()
    local ok, err = eddy.spawn_with({ cpu = 0.05 }, fn):join()
    return ok, type(err) == "table" and err.kind
  end)
end

function TestLeft:test_outside_closers_of_a_killed_task_have_an_end()
  local kept = {}
  local ok, kind = run_limited(function()
    for i = 1, 3 do
      kept[i] = eddy.gen(function(emit)
        local _ <close> = setmetatable({}, { __close = endless })
        emit(1)
      end)
      kept[i]()
    end
    endless()
  end)
  lu.assertEquals({ ok, kind }, { false, "limit" })
end

function TestLeft:test_outside_the_finalizer_calls_nothing_of_a_script()
  local hostile = { __index = endless, __newindex = endless, __len = endless }
  local function leave(field)
    local iter, _, _, closing = eddy.gen(function(emit) emit(1) end)
    iter()
    if field then closing.set_[field] = setmetatable({}, hostile)
    else closing.set_ = setmetatable({}, hostile) end
  end
  run_limited(function()
    leave()
    collectgarbage()
    collectgarbage()
  end)
  lu.assertFalse((run_limited(function()
    leave "left"
    collectgarbage()
    collectgarbage()
    endless()
  end)))
end

return { TestLeft = TestLeft }
