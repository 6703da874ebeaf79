-- SPDX-License-Identifier: MIT
-- The text of a task that had ended well, asked for the first time, was looked for in its coroutine, which was gone:
-- `print(task)` ended the process.
local lu = ...
local eddy = require "eddy"

local TestText = {}

local ENDINGS = {
  done = function() eddy.sleep(0) return 1, 2 end,
  failed = function() eddy.sleep(0) error("broken", 0) end,
  cancelled = function() eddy.sleep(0) eddy.current():cancel() eddy.sleep(0) end,
}

function TestText:test_of_each_ending()
  for status, body in pairs(ENDINGS) do
    for _, options in ipairs { {}, { name = "gardener" } } do
      local task = eddy.spawn_with(options, body)
      task:join()
      collectgarbage()
      lu.assertEquals(tostring(task), ("eddy.Task %s: %s"):format(task:name(), status))
      lu.assertEquals(options.name or task:name(), task:name())
    end
  end
end

function TestText:test_of_one_that_nobody_awaited()
  local task = eddy.spawn(function() end)
  eddy.sleep(0)
  lu.assertStrMatches(tostring(task), "eddy%.Task task %d+: done")
end

return { TestText = TestText }
