-- SPDX-License-Identifier: MIT
-- config{warn_blocking=}: who held the loop, for how long, and where.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"
local spin = require "spec.support.spin"

local WARN = 0.02

--- What `fn` as a named task makes on_error hear: a list of {error, name of the task}.
local function reports(fn)
  local list = {}
  eddy.config { warn_blocking = WARN, on_error = function(err, task) list[#list + 1] = { err, task:name() } end }
  eddy.run(function() eddy.spawn_with({ name = "x" }, fn):join() end)
  eddy.config { warn_blocking = false, on_error = false }
  return list
end

local function assert_reported(fn, wanted_place)
  local list = reports(fn)
  lu.assertEquals(#list, 1)
  local err, name = list[1][1], list[1][2]
  lu.assertEquals({ err.kind, err.code, name }, { "limit", "blocking", "x" })
  local ms, place = err.message:match "^task 'x' held the loop for (%d+) ms (.*)$"
  lu.assertTrue(tonumber(ms) >= WARN * 1000, err.message)
  lu.assertStrMatches(place, wanted_place)
end

local function here() return debug.getinfo(2, "l").currentline end

local TestBlocking = {}

function TestBlocking:test_outside_lua()
  local line = here() + 1
  assert_reported(function() local from = os.clock() while os.clock() < from + 5 * WARN do end end,
    "at spec/watchdog/blocking_spec%.lua:" .. line)
end

-- The hook can come only behind the C function: it is its line that is told nevertheless.
function TestBlocking:test_outside_a_c_function()
  local line
  local list = reports(function()
    os.execute "sleep 0.2"
    line = here() - 1
    eddy.sleep(0)
  end)
  lu.assertStrContains(list[1][1].message, "blocking_spec.lua:" .. line)
end

function TestBlocking:test_outside_each_time()
  lu.assertEquals(#reports(function()
    for _ = 1, 2 do
      spin(5 * WARN)
      eddy.sleep(0)
    end
  end), 2)
end

function TestBlocking:test_outside_waiting_is_not_blocking()
  lu.assertEquals(reports(function() eddy.sleep(5 * WARN) end), {})
end

-- No turn is as long as the work when slices are on; a busy machine may hold the watchdog itself back for a while.
function TestBlocking:test_outside_with_slices()
  eddy.config { slice = 0.001 }
  local list = reports(function() coroutine.wrap(spin)(10 * WARN) end)
  eddy.config { slice = false }
  for _, report in ipairs(list) do
    lu.assertTrue(tonumber(report[1].message:match "(%d+) ms") < 10 * WARN * 1000, report[1].message)
  end
end

-- Tasks that run on top of those that await them are told apart.
function TestBlocking:test_outside_an_awaited_child()
  local list = reports(function() eddy.spawn_with({ name = "child" }, spin, 5 * WARN):await() end)
  lu.assertEquals({ #list, list[1][2] }, { 1, "child" })
end

-- It is told when the task has returned and its results are not taken yet.
function TestBlocking:test_outside_results_of_a_reported_task()
  local seen = {}
  eddy.config { warn_blocking = WARN, on_error = function(_, task)
    if task:name() ~= "main" then seen[#seen + 1] = task:status() end -- which a busy machine may hold back itself
  end }
  eddy.run(function()
    local function work(...) spin(5 * WARN) return ... end
    lu.assertEquals(table.pack(eddy.spawn(work, 1, nil):await()), { 1, nil, n = 2 })
    lu.assertEquals(table.pack(eddy.spawn(work):await()), { n = 0 })
    lu.assertEquals(eddy.gather(function() return work(7) end), 7)
    local late = eddy.spawn(work, "late")
    eddy.sleep(0)
    lu.assertEquals(late:await(), "late")
    local ok, err = eddy.spawn(function() work() error("own", 0) end):join()
    lu.assertEquals({ ok, err }, { false, "own" })
  end)
  eddy.config { warn_blocking = false, on_error = false }
  lu.assertEquals(#seen, 5)
end

local TestProgram = {}

function TestProgram:test_outside_the_option()
  local text = "local t = os.clock() while os.clock() - t < 0.2 do end"
  for _, option in ipairs { "--warn-blocking", "--warn-blocking=0.02" } do
    local result = process.eddy { option, "-e", text }
    lu.assertStrMatches(result.stderr, "eddy: task 'main' held the loop for %d+ ms at %(command line%):1.*")
    lu.assertEquals(result.code, 0)
  end
  lu.assertEquals(process.eddy({ "-e", text }).stderr, "")
  lu.assertEquals(process.eddy({ "--warn-blocking=60", "-e", text }).stderr, "")
end

function TestProgram:test_outside_bad_values()
  for _, value in ipairs { "", "0", "-1", "x" } do
    local result = process.eddy { "--warn-blocking=" .. value, "-e", "" }
    lu.assertStrContains(result.stderr, "unrecognized option '--warn-blocking=" .. value .. "'")
    lu.assertEquals(result.code, 1)
  end
end

return { TestBlocking = TestBlocking, TestProgram = TestProgram }
