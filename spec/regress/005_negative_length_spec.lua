-- SPDX-License-Identifier: MIT
-- A list whose __len gives a negative number became one of four thousand million members.
local lu = ...
local eddy = require "eddy"

local TestLength = {}

local list = setmetatable({}, { __len = function() return -1 end })

for _, name in ipairs { "gather", "settle", "race", "any", "select" } do
  TestLength["test_" .. name] = function()
    local wait = eddy[name]
    lu.assertErrorMsgContains("length is negative", function() wait(list) end)
    lu.assertErrorMsgContains("005_negative_length_spec", function() wait(list) end)
  end
end

return { TestLength = TestLength }
