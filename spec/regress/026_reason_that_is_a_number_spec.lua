-- SPDX-License-Identifier: MIT
-- The reason of a cancellation became text where the message was made from it.
local lu = ...
local eddy = require "eddy"

local TestReason = { clock = "manual" }

function TestReason:test_it_stays_a_number()
  for _, reason in ipairs { 42, 1.5 } do
    local task = eddy.spawn(eddy.sleep, 1000)
    eddy.sleep(1)
    task:cancel(reason)
    local _, err = task:join()
    lu.assertEquals({ math.type(err.reason), err.reason }, { math.type(reason), reason })
    lu.assertStrContains(tostring(err), tostring(reason))
  end
end

return { TestReason = TestReason }
