-- SPDX-License-Identifier: MIT
-- eddy.core.console: waiting for input, and interrupts of the prompt. What a user sees of it is in spec/cli.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"
local process = require "spec.support.process"
local waits = require "spec.support.waits"

local console = core.console

-- poll(2) leaves out negative descriptors: such input never comes, and an interrupt ends the wait.
local NEVER = -1

local function interrupt()
  io.popen("kill -INT $PPID"):close()
end

--- For who is interrupted himself, perhaps before he could close a pipe: it is told by a line.
local function new_killer() return io.popen("read line; kill -INT $PPID", "w") end

local function open()
  console.open()
  return setmetatable({}, { __close = console.close })
end

local TestReadable = waits.class(lu, {
  setup = open,
  wait = function() return console.readable(NEVER) end,
  finish = interrupt,
  check = function(lu, _, is_there) lu.assertFalse(is_there) end, -- luacheck: ignore lu
  is_alone = true,
})

local TestConsole = {}

function TestConsole:test_only_while_open()
  lu.assertErrorMsgContains("the console is not open", console.readable, 0)
  lu.assertErrorMsgContains("the console is not open", console.line, nil)
  local _ <close> = open()
  lu.assertErrorMsgContains("cannot open the console", console.open)
  console.close()
  console.close()
  console.open()
end

function TestConsole:test_one_reader()
  local _ <close> = open()
  local task = eddy.spawn(console.readable, NEVER)
  eddy.sleep(0)
  lu.assertErrorMsgContains("somebody else waits for input", console.readable, NEVER)
  task:cancel()
end

function TestConsole:test_closed_under_a_reader()
  console.open()
  local task = eddy.spawn(console.readable, NEVER)
  eddy.sleep(0)
  console.close()
  lu.assertEquals({ task:join() }, { true, false })
end

function TestConsole:test_outside_no_descriptors_left()
  local result = process.run(("ulimit -n 30 && exec %s -e %s"):format(process.quote(process.program), process.quote [[
    local console, files = require "eddy.core".console, {}
    console.open()
    for n = 1, 30 do files[n] = io.open "/dev/null" end
    print(pcall(console.readable, -1))]]))
  lu.assertStrContains(result.stdout, "cannot wait for input: too many open files")
end

function TestConsole:test_interrupt_before_the_wait_is_kept()
  local _ <close> = open()
  interrupt()
  eddy.sleep(0)
  lu.assertFalse(console.readable(NEVER))
end

function TestConsole:test_interrupt_cancels_the_line_and_its_children()
  local _ <close> = open()
  local child
  local line = eddy.background(function()
    child = eddy.spawn(eddy.sleep, 3600)
    child:join()
  end)
  console.line(line)
  eddy.sleep(0)
  interrupt()
  local ok, err = line:join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cancelled"))
  lu.assertEquals(child:status(), "cancelled")
  lu.assertTrue(console.line(nil))
  lu.assertFalse(console.line(nil))
end

function TestConsole:test_interrupt_of_a_line_that_never_waits()
  local _ <close> = open()
  local killer <close> = new_killer()
  local line = eddy.background(function()
    killer:write "\n"
    killer:flush()
    while true do end
  end)
  console.line(line)
  lu.assertFalse(line:join())
  lu.assertEquals(line:status(), "cancelled")
end

function TestConsole:test_interrupt_inside_a_coroutine_of_the_line()
  local _ <close> = open()
  local killer <close> = new_killer()
  local line = eddy.background(function()
    local spin = coroutine.wrap(function()
      killer:write "\n"
      killer:flush()
      while true do coroutine.yield() end
    end)
    while true do spin() end
  end)
  console.line(line)
  lu.assertFalse(line:join())
  lu.assertEquals(line:status(), "cancelled")
end

return { TestReadable = TestReadable, TestConsole = TestConsole }
