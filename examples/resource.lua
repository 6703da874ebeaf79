-- SPDX-License-Identifier: MIT
-- A resource whose opening and closing wait. As a `<close>` value it is closed on every way out, also
-- when the task is cancelled: the shield in `close` lets the clean-up wait.
local eddy = require "eddy"

local Session = {}
Session.__index = Session

local function open(name)
  eddy.sleep(0.01)
  print("open " .. name)
  return setmetatable({ name = name }, Session)
end

function Session:ask(question)
  eddy.sleep(0.01)
  if question == "what?" then error("the session does not understand", 0) end
  return self.name .. ": " .. question:upper()
end

function Session:close()
  if self.is_closed then return end
  self.is_closed = true
  eddy.shield(1, function()
    eddy.sleep(0.01)
    print("closed " .. self.name)
  end)
end
Session.__close = Session.close

do
  local session <close> = open "first"
  print(session:ask "hello")
end

print(pcall(function()
  local session <close> = open "second"
  session:ask "what?"
end))

print(eddy.within(0.03, function()
  local session <close> = open "third"
  while true do session:ask "again" end
end))

-- for something that is no object: `defer`
do
  local _ <close> = eddy.defer(function() eddy.sleep(0.01) print "swept" end)
  print "at work"
end
