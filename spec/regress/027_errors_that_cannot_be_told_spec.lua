-- SPDX-License-Identifier: MIT
-- An error that nobody awaits was lost when on_error failed over it, or when it could not be turned into text.
local lu = ...
local process = require "spec.support.process"

local TestTold = {}

local function told(text)
  local result = process.eddy { "-e", "local eddy = require 'eddy'\n" .. text }
  lu.assertEquals(result.code, 0)
  return result.stderr
end

local BAD = "local bad = setmetatable({}, { __tostring = function() error 'no text' end })\n"

function TestTold:test_outside_error_without_text()
  local text = told(BAD .. "eddy.background(function() error(bad) end) eddy.sleep(0)")
  lu.assertStrContains(text, "error that nobody awaits: (a table whose __tostring failed)")
  lu.assertStrContains(text, "spawned at")
end

function TestTold:test_outside_on_error_fails()
  local text = told(BAD .. [[print(eddy.offload(function()
    local eddy = require "eddy"
    eddy.config { on_error = function() error "in on_error itself" end }
    eddy.run(function() eddy.background(function() error "the first" end) eddy.sleep(0) end)
  end))]])
  lu.assertStrContains(text, "in on_error itself")
  lu.assertStrContains(text, "error that nobody awaits: ")
  lu.assertStrContains(text, "the first")
end

-- Also where the report comes from a task that catches its cancellations.
function TestTold:test_outside_warning()
  local text = told [[print(eddy.offload(function()
    local eddy = require "eddy"
    eddy.config { on_error = function() error "in on_error itself" end }
    eddy.run(function()
      local task = eddy.spawn(function() for _ = 1, 300 do pcall(eddy.sleep, 1000) end end)
      eddy.sleep(0)
      task:cancel()
      task:join()
    end)
  end))]]
  lu.assertStrContains(text, "in on_error itself")
  lu.assertStrContains(text, "keeps catching its cancellation")
end

return { TestTold = TestTold }
