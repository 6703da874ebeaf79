-- SPDX-License-Identifier: MIT
-- The text of some 190 groups of errors, one inside the other, raised "C stack overflow", and the program said
-- "error object is a table value" of what had failed; the line of 10 000 failures was 200 kB long; a report took
-- time with the cube of the depth; an error that was its own cause had none at all.
local lu = ...
local eddy = require "eddy"

local TestGroupsWithin = {}

local function failing(depth)
  if depth == 0 then error("bottom", 0) end
  eddy.group(function(group)
    group:spawn(failing, depth - 1)
    group:spawn(function()
      pcall(eddy.sleep, 1000)
      error("side " .. depth, 0)
    end)
  end)
end

local function count(text, pattern) return select(2, text:gsub(pattern, "")) end

function TestGroupsWithin:test_few_are_told_whole()
  local _, err = eddy.pcall(failing, 3) -- side 1 never runs
  lu.assertEquals(tostring(err), "several tasks failed: several tasks failed: bottom; side 2; side 3")
end

function TestGroupsWithin:test_a_line_stays_a_line_however_many_there_are()
  local _, err = eddy.pcall(failing, 1000)
  local text = tostring(err)
  lu.assertEquals({ #text < 1000, count(text, "\n"), count(text, "side 1000") }, { true, 0, 1 })
end

function TestGroupsWithin:test_the_report_leaves_nothing_out()
  local _, err = eddy.pcall(failing, 300)
  local report = err:report()
  lu.assertEquals({ count(report, "%d%. side %d+\n"), count(report, "%d%. bottom\n") }, { 299, 1 })
end

function TestGroupsWithin:test_members_beyond_a_line_are_counted()
  local _, err = eddy.pcall(eddy.group, function(group)
    for i = 1, 2000 do
      group:spawn(function()
        pcall(eddy.sleep, 1000)
        error(("member %d"):format(i), 0)
      end)
    end
    eddy.sleep(0)
    error("first", 0)
  end)
  local text = tostring(err)
  local left_out = tonumber(text:match "; and (%d+) more$")
  lu.assertEquals(count(text, "member %d+") + 1 + left_out, #err.errors)
  lu.assertEquals(#err.errors, 2001)
  lu.assertTrue(#text < 5000)
end

function TestGroupsWithin:test_an_error_may_be_its_own_cause()
  local err = eddy.error { kind = "io", message = "one" }
  err.cause = eddy.error { kind = "io", message = "two", cause = err, suppressed = { "three" } }
  lu.assertEquals(err:report(), "one (io)\ncaused by two (io)\n  caused by one (io)\n    (as above)\n  suppressed: three")
end

return TestGroupsWithin
