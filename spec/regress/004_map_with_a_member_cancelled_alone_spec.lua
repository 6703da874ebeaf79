-- SPDX-License-Identifier: MIT
-- A member of map or each that is cancelled by itself left a hole in the results without a word.
local lu = ...
local eddy = require "eddy"

local TestLostMember = { clock = "manual" }

local function work(value)
  if value == 2 then eddy.current():cancel "alone" end
  eddy.sleep(value)
  return value
end

function TestLostMember:test_map_raises_and_cancels_the_rest()
  local from = eddy.now()
  local ok, err = pcall(eddy.map, { 1, 2, 300 }, work)
  lu.assertFalse(ok)
  lu.assertEquals({ err.kind, err.reason }, { "cancelled", "alone" })
  lu.assertTrue(eddy.now() - from < 10)
end

function TestLostMember:test_each_too()
  local n = 0
  local ok, err = pcall(eddy.each, function() n = n + 1 return n <= 3 and n or nil end, work)
  lu.assertFalse(ok)
  lu.assertEquals(err.reason, "alone")
end

function TestLostMember:test_the_block_around_keeps_its_cancellation()
  lu.assertEquals({ eddy.within(1, eddy.map, { 5, 6 }, work) }, { false })
end

return { TestLostMember = TestLostMember }
