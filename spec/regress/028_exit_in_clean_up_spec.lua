-- SPDX-License-Identifier: MIT
-- os.exit(code, true) in a '<close>' variable of a task that was being killed, by os.exit as well: the
-- tasks that this kill had not come to were forgotten, with what they waited for.
local lu = ...
local process = require "spec.support.process"

local TestExit = {}

function TestExit:test_outside_all_tasks_end()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    local function closing(text, code)
      return setmetatable({}, { __close = function()
        print(text)
        if code then os.exit(code, true) end
      end })
    end
    eddy.spawn(function() local _ <close> = closing("first") eddy.sleep(1000) end)
    eddy.spawn(function() local _ <close> = closing("second", 3) while true do pcall(eddy.sleep, 1000) end end)
    eddy.spawn(function() local _ <close> = closing("third", 4) eddy.sleep(1000) end)
    eddy.sleep(0)
    eddy.spawn(function() os.exit(0, true) end):await()]] }
  local lines = {}
  for line in result.stdout:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  lu.assertEquals(lines, { "first", "second", "third" })
  lu.assertEquals(result.stderr, "")
  lu.assertTrue(result.code == 3 or result.code == 4, result.code)
end

return { TestExit = TestExit }
