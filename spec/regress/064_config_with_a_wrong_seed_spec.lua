-- SPDX-License-Identifier: MIT
-- A seed that was no integer was refused after it had been stored, with all that came beside it: from then on
-- every call of eddy.config was refused for it.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"

local TestSeed = {}

function TestSeed:tearDown() eddy.config { seed = false, kill_grace = false } end

function TestSeed:test_outside_is_refused_and_forgotten()
  for _, seed in ipairs { "x", 1.5, {}, true } do
    local before = core.probe.config()
    lu.assertErrorMsgContains("'seed' must be an integer", eddy.config, { seed = seed, kill_grace = 3 })
    lu.assertEquals(core.probe.config(), before)
    eddy.config { kill_grace = 5 }
    eddy.config { kill_grace = false }
  end
end

return { TestSeed = TestSeed }
