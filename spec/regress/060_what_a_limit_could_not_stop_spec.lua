-- SPDX-License-Identifier: MIT
-- Three loops that a limit never ended: in a coroutine that a script closes, whose hook was never set; in a
-- chain of coroutines through which errors fall, where the signal always came to one that was about to die; and
-- in a tower of pcall, whose bottom had time to build it again between two errors.
local lu = ...
local eddy = require "eddy"

local function forever() while true do end end

local function assert_ended(body)
  local ok, err = eddy.spawn_with({ cpu = 0.02 }, body):join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cpu"), err)
end

local TestLimits = {}

function TestLimits:test_coroutines_that_are_closed()
  assert_ended(function()
    while true do
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function() while true do pcall(forever) end end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)
    end
  end)
end

function TestLimits:test_coroutines_that_die_inside_each_other()
  local function deep() return coroutine.wrap(deep)() end
  assert_ended(function() while true do pcall(deep) end end)
end

function TestLimits:test_a_tower_of_pcall()
  local function tower(n)
    if n == 0 then forever() end
    while true do pcall(tower, n - 1) end
  end
  assert_ended(function() string.gsub("x", "x", function() tower(150) end) end)
end

return { TestLimits = TestLimits }
