-- SPDX-License-Identifier: MIT
-- A file that a test opened with `io.open` and did not close was not noticed.
local lu = ...
local eddy = require "eddy"
local testing = require "eddy.testing"

local TestFiles = {}

local function left_by(fn, options)
  local path = os.tmpname()
  local file
  local ok, err = pcall(testing.run, function() file = fn(path) end, options)
  if file then file:close() end
  os.remove(path)
  return not ok and err:gsub(path:gsub("%p", "%%%0"), "PATH") or nil
end

function TestFiles:test_outside_left_open()
  local function open(path) return assert(io.open(path, "w")) end
  lu.assertEquals(left_by(open), "left behind:\n  file PATH")
  lu.assertNil(left_by(open, { leaks = false }))
  lu.assertStrContains(left_by(function(path)
    local file
    eddy.spawn(function() eddy.sleep(1) file = open(path) end):await()
    return file
  end), "file PATH")
end

function TestFiles:test_outside_closed()
  lu.assertNil(left_by(function(path)
    assert(io.open(path, "w")):close()
    for _ in io.lines(path) do end
  end))
end

function TestFiles:test_outside_open_before()
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  os.remove(path)
  lu.assertNil(left_by(function() file:write "x" end))
  lu.assertStrContains(left_by(function(other) return assert(io.open(other)) end), "file PATH")
end

return { TestFiles = TestFiles }
