-- SPDX-License-Identifier: MIT
-- What is taken apart in Lua, with the corpus and some hundreds of texts made of it (`make fuzz` makes many).
local lu = ...
local fuzz = require "spec.fuzz.lua.run"

local COUNT = 400

local TestTexts = {}

for name in pairs(fuzz.targets) do
  TestTexts["test_" .. name] = function() lu.assertTrue(fuzz.run(name, { count = COUNT, seed = 7 }) > COUNT) end
end

return { TestTexts = TestTexts }
