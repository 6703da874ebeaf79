-- SPDX-License-Identifier: MIT
-- The random models of the kernel with few steps and a few seeds, one of them new each time.
local stress = require "spec.stress.kernel_stress"

local STEPS = 30

local TestModels = {}

for _, name in ipairs(stress.models) do
  TestModels["test_outside_" .. name] = function()
    for _, seed in ipairs { 1, 2, 3, os.time() } do stress.try(name, seed, STEPS) end
  end
end

return { TestModels = TestModels }
