-- SPDX-License-Identifier: MIT
-- What came behind a list of members was ignored: a function there never ran, an option meant nothing.
local lu = ...
local eddy = require "eddy"

local TestList = { clock = "manual" }

function TestList:test_it_is_refused()
  local ran = false
  local function member() ran = true end
  for _, name in ipairs { "gather", "settle", "race", "any" } do
    for _, rest in ipairs { member, { limit = 2 }, false } do
      local ok, err = pcall(function() eddy[name]({ member }, rest) end)
      lu.assertFalse(ok, name)
      lu.assertStrContains(err, "099_members_behind_a_list_spec.lua:")
      lu.assertStrContains(err, "bad argument #2 to '?' (nothing comes behind a list of members)")
    end
  end
  eddy.sleep(0)
  lu.assertFalse(ran)
  lu.assertEquals(eddy.gather({ function() return "value" end }, nil), { "value", n = 1 })
end

return { TestList = TestList }
