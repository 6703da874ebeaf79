-- SPDX-License-Identifier: MIT
-- testing.cancel_everywhere, everywhere and explore: planted bugs are found, named and repeated.
local lu = ...
local eddy = require "eddy"
local net = require "eddy.net"
local testing = require "eddy.testing"

local suite = {}

local function fails(fn, ...)
  local ok, err = pcall(fn, ...)
  lu.assertFalse(ok)
  return err
end

local TestCancel = {}
suite.TestCancel = TestCancel

local function two_holders(use)
  return function()
    local semaphore = eddy.semaphore(1)
    eddy.gather(function() use(semaphore) end, function() use(semaphore) end)
    lu.assertEquals(semaphore:available(), 1)
  end
end

function TestCancel:test_outside_code_that_is_right()
  local points = testing.cancel_everywhere(two_holders(function(semaphore)
    local _ <close> = semaphore:acquire()
    eddy.sleep(1)
  end))
  lu.assertTrue(points > 8)
end

function TestCancel:test_outside_a_permit_lost_by_cancelling()
  local err = fails(testing.cancel_everywhere, two_holders(function(semaphore)
    local permit = semaphore:acquire()
    eddy.sleep(1)
    permit:release()
  end))
  lu.assertStrMatches(err, "cancel_everywhere: point %d+ %(.-%): left behind:\n  permit of a semaphore acquired at .*")
end

function TestCancel:test_outside_an_error_in_clean_up()
  local err = fails(testing.cancel_everywhere, function()
    local file
    local _ <close> = setmetatable({}, { __close = function() file:close() end })
    eddy.sleep(1)
    file = { close = function() end }
    eddy.sleep(1)
  end)
  lu.assertStrMatches(err, "cancel_everywhere: point %d+ %(main: waiting in sleep%): .*upvalue 'file'.*")
end

function TestCancel:test_outside_errors_that_are_in_order()
  local function grumble()
    local ok = pcall(eddy.sleep, 1)
    if not ok then error "I was cancelled" end
  end
  lu.assertStrContains(fails(testing.cancel_everywhere, grumble), "I was cancelled")
  local points = testing.cancel_everywhere(grumble, { errors = function(err) return tostring(err):find "I was" end })
  lu.assertTrue(points >= 3)
end

function TestCancel:test_outside_a_clean_up_that_never_ends()
  local err = fails(testing.cancel_everywhere, function()
    local _ <close> = setmetatable({}, { __close = function() eddy.shield(math.huge, eddy.sleep, math.huge) end })
    error(select(2, pcall(eddy.sleep, 1)))
  end, { timeout = 0.05, errors = function() return true end })
  lu.assertStrContains(tostring(err), "did not end within 0.05 s")
end

function TestCancel:test_outside_the_plain_run_fails()
  lu.assertEquals(fails(testing.cancel_everywhere, function() error("plain", 0) end), "plain")
end

function TestCancel:test_outside_sockets()
  local points = testing.cancel_everywhere(function()
    local listener <close> = assert(net.listen { port = 0 })
    local group <close> = eddy.group()
    group:spawn(function()
      local stream <close> = assert(listener:accept())
      stream:write(stream:read_line(), "\n")
    end)
    local stream <close> = assert(net.connect { host = "127.0.0.1", port = listener.port })
    stream:write "hello\n"
    lu.assertEquals(stream:read_line(), "hello")
  end)
  lu.assertTrue(points > 5)
end

function TestCancel:test_outside_at_most_so_many_points()
  local tried = testing.cancel_everywhere(function() for _ = 1, 20 do eddy.sleep(1) end end, { points = 4 })
  lu.assertEquals(tried, 4)
end

function TestCancel:test_outside_misuse()
  lu.assertErrorMsgContains("function expected", testing.cancel_everywhere, 1)
  lu.assertErrorMsgContains("unknown option 'runs'", testing.cancel_everywhere, print, { runs = 1 })
end

local TestEverywhere = {}
suite.TestEverywhere = TestEverywhere

function TestEverywhere:test_outside_any_act_at_any_point()
  local event, seen = nil, {}
  local function body()
    event = eddy.event()
    local in_time = eddy.within(10, event.wait, event)
    seen[in_time] = true
    eddy.sleep(1)
  end
  local points = testing.everywhere(body, function() if event then event:set() end end)
  lu.assertTrue(points >= 4)
  lu.assertEquals(seen, { [true] = true, [false] = true })
end

function TestEverywhere:test_outside_a_peer_that_closes()
  local near
  local function body()
    near = nil
    local listener <close> = assert(net.listen { port = 0 })
    local far <close> = assert(net.connect { host = "127.0.0.1", port = listener.port })
    local accepted <close> = assert(listener:accept())
    near = accepted
    near:write "x"
    local got, err = far:read()
    if not got and err then error(err) end
  end
  lu.assertTrue(testing.everywhere(body, function() if near then near:close() end end) > 3)
end

local TestExplore = {}
suite.TestExplore = TestExplore

-- Right in the order of spawning, wrong where the reader comes first.
local function order_bug()
  local value
  eddy.group(function(group)
    group:spawn(function() value = "written" end)
    group:spawn(function() assert(value, "read before it was written") end)
  end)
end

function TestExplore:test_outside_in_order_it_seems_right()
  testing.run(order_bug)
end

function TestExplore:test_outside_a_planted_bug_and_its_seed()
  local err = fails(testing.explore, { runs = 200, order_bug })
  lu.assertStrContains(err, "read before it was written")
  local seed = math.tointeger(err:match "seed = (%d+)")
  for _ = 1, 5 do
    lu.assertStrContains(fails(testing.explore, { seed = seed, runs = 1, order_bug }), "seed = " .. seed)
    lu.assertStrContains(fails(testing.run, order_bug, { seed = seed }), "read before")
  end
end

function TestExplore:test_outside_what_does_not_depend_on_order()
  local orders = {}
  local runs = testing.explore { runs = 50, fn = function()
    local log = {}
    eddy.group(function(group)
      for i = 1, 3 do group:spawn(function() log[#log + 1] = i end) end
    end)
    orders[table.concat(log)] = true
  end }
  local n = 0
  for _ in pairs(orders) do n = n + 1 end
  lu.assertEquals({ runs, n }, { 50, 6 })
end

-- What 40 tasks log that are woken together again and again.
local function journal(seed)
  return testing.run(function()
    local log = {}
    eddy.group(function(group)
      for i = 1, 40 do
        group:spawn(function()
          for _ = 1, 3 do eddy.sleep(1) log[#log + 1] = i end
        end)
      end
    end)
    return table.concat(log, " ")
  end, { seed = seed })
end

function TestExplore:test_outside_one_seed_is_one_order()
  local first = journal(42)
  for _ = 1, 3 do lu.assertEquals(journal(42), first) end
  lu.assertNotEquals(journal(43), first)
  lu.assertNotEquals(journal(nil), first)
  lu.assertEquals(journal(nil), journal(nil))
  lu.assertNotEquals(journal(0), journal(nil))
  lu.assertNotEquals(journal(-1), journal(0))
end

function TestExplore:test_outside_a_turn_is_shuffled_as_a_whole()
  local places = {}
  for seed = 1, 64 do
    local last = journal(seed):match "^(%d+)"
    places[last] = true
  end
  local n = 0
  for _ in pairs(places) do n = n + 1 end
  lu.assertTrue(n > 20)
end

-- What is awoken in order stays in order: a semaphore hands over first come, first served.
function TestExplore:test_outside_hand_over_stays_fair()
  testing.explore { runs = 30, function()
    local semaphore, log = eddy.semaphore(0), {}
    eddy.group(function(group)
      for i = 1, 4 do
        group:spawn(function()
          local _ <close> = semaphore:acquire()
          log[#log + 1] = i
          eddy.sleep(1)
        end)
        eddy.sleep(1)
      end
      semaphore:release()
    end)
    lu.assertEquals(log, { 1, 2, 3, 4 })
  end }
end

-- That promise holds in any order.
function TestExplore:test_outside_sleep_zero_lets_the_ready_ones_run_first()
  testing.explore { runs = 100, function()
    local event, ran, late = eddy.event(), 0, 0
    eddy.group(function(group)
      for _ = 1, 5 do group:spawn(function() event:wait() ran = ran + 1 end) end
      eddy.sleep(1)
      group:spawn(function() eddy.sleep(0) late = late + 1 eddy.sleep(0) late = late + 1 end)
      event:set()
      eddy.sleep(0)
      lu.assertEquals(ran, 5)
      eddy.sleep(0)
      lu.assertTrue(late >= 1)
    end)
  end }
end

function TestExplore:test_outside_seed_of_the_configuration()
  lu.assertErrorMsgContains("must be an integer", eddy.config, { seed = "x" })
  lu.assertErrorMsgContains("must be an integer", eddy.config, { seed = 0.5 })
  eddy.config { seed = 5 }
  local log = {}
  for run = 1, 2 do
    log[run] = ""
    eddy.run(function()
      for i = 1, 9 do eddy.spawn(function() log[run] = log[run] .. i end) end
    end)
  end
  eddy.config { seed = false }
  lu.assertEquals(log[1], log[2])
  lu.assertNotEquals(log[1], "123456789")
end

function TestExplore:test_outside_misuse()
  lu.assertErrorMsgContains("table expected", testing.explore, print)
  lu.assertErrorMsgContains("function expected", testing.explore, { runs = 1 })
  lu.assertErrorMsgContains("unknown option 'run'", testing.explore, { run = 1, print })
end

return suite
