-- SPDX-License-Identifier: MIT
--
-- Module "eddy.testing": tests of code that waits, for any test library. Each test gets a run of
-- its own, ends in real time, and must leave nothing behind: what it leaves is named. The same test
-- can be tried with a cancellation at each of its waits, and with its tasks in many orders.
--
-- The clock of a test is manual unless it asks for the real one: it stands still while anything can
-- run and jumps to the next timer when all tasks sleep. So `eddy.sleep(3600)` is how a test moves
-- the clock on by an hour, at once. Sockets are looked at before it jumps; what happens outside of
-- this process (a program, another machine) wants `clock = "real"`.
--
-- With a seed, tasks that are ready at the same time run in any order that eddy promises, not in the
-- usual one: `eddy.sleep(0)` still lets all that are ready run first, and queues, semaphores and the
-- like still serve in order.

local core = require "eddy.core"
local eddy = require "eddy"

local probe = core.probe

---@class eddy.testing
local testing = {}

local TIMEOUT = 10      -- seconds of real time
local GRACE = 1         -- for the clean-up of a test that was too slow, then it is killed
local MAX_POINTS = 2000

---@class eddy.testing.Options
---@field timeout number?            seconds of real time, default 10; `math.huge`: no limit
---@field clock ("manual"|"real")?   default "manual"
---@field seed integer?              order tasks that are ready at the same time by this seed
---@field leaks boolean?             false: what is left behind is in order

-- ---- Options -----------------------------------------------------------------------------------

local OPTIONS = { timeout = "number", clock = "string", seed = "number", leaks = "boolean" }

-- Said with the position of whoever called the function of this module that calls this one.
local function misuse(text, ...) error(text:format(...), 4) end

local function check_options(options, more)
  if options == nil then return {} end
  if type(options) ~= "table" then misuse("options: table expected, got %s", type(options)) end
  for name, value in pairs(options) do
    local kind = OPTIONS[name] or more and more[name]
    if not kind then misuse("unknown option '%s'", tostring(name)) end
    if type(value) ~= kind then misuse("option '%s': %s expected, got %s", name, kind, type(value)) end
  end
  if options.clock and options.clock ~= "manual" and options.clock ~= "real" then
    misuse "option 'clock' must be \"manual\" or \"real\""
  end
  if options.seed and math.type(options.seed) ~= "integer" then misuse "option 'seed': integer expected, got number" end
  if options.timeout and options.timeout ~= options.timeout then misuse "option 'timeout': NaN" end
  if options.timeout and options.timeout <= 0 then misuse "option 'timeout' must be above 0" end
  return options
end

local function bad_argument(number, name, expected, value)
  return ("bad argument #%d to '%s' (%s expected, got %s)"):format(number, name, expected, type(value))
end

local function check_function(name, fn)
  local meta = getmetatable(fn)
  if type(fn) ~= "function" and not (type(meta) == "table" and meta.__call) then
    misuse(bad_argument(1, name, "function", fn))
  end
  if eddy.current() then
    misuse "a test has a run of its own: call this outside any task (in a file that is run with lua, not with eddy)"
  end
end

-- Clock and seed of one run; closing the result brings back what was there before: a manual clock that
-- has jumped years ahead is the test's alone.
local function configure(options)
  local before, clock = probe.config(), probe.clock()
  eddy.config { clock = options.clock or "manual", seed = options.seed or false }
  return setmetatable({}, { __close = function()
    eddy.config { clock = before.clock or false, seed = before.seed or false }
    probe.clock(clock)
  end })
end

-- ---- One run -----------------------------------------------------------------------------------

local COUNTERS = { "tasks", "operations", "handles", "timers", "files", "jobs" }

-- Files that are open now and were not before, as `io.open` leaves them.
local function add_files(left, before)
  local after, paths = probe.files(), {}
  for number, path in pairs(after) do
    if before[number] ~= path then paths[#paths + 1] = "file " .. path end
  end
  table.sort(paths)
  table.move(paths, 1, #paths, #left + 1, left)
end

-- What the end of a run could not take down. Nothing of that is expected, so it is only counted.
local function add_counts(left, before)
  local after = eddy.stats()
  for _, name in ipairs(COUNTERS) do
    if after[name] > before[name] then left[#left + 1] = ("%d %s"):format(after[name] - before[name], name) end
  end
end

-- Hooks for one run and what they find out: `late`, `left`.
local function new_watch(options, point)
  local found = { left = {} }
  local function late()
    if found.late then return probe.kill(true) end
    found.late = eddy.dump()
    local root = probe.root()
    if root then root:cancel "the time of the test is over" end
    probe.limit(GRACE)
  end
  local function ended() found.left = probe.leaks() end
  probe.watch { point = point, late = late, ended = options.leaks ~= false and ended or nil }
  probe.limit(options.timeout or TIMEOUT)
  return setmetatable(found, { __close = function() probe.watch() end })
end

local function late_error(found, options)
  return eddy.error { kind = "timeout", op = "test", message = ("did not end within %g s of real time; there were:\n%s")
    :format(options.timeout or TIMEOUT, found.late) }
end

-- Run `fn`: true and its results, or false and an error. A leak counts when there is no error, or
-- one that `allows` says yes to.
local function execute(fn, options, point, allows)
  local before, files = eddy.stats(), options.leaks ~= false and probe.files()
  local _ <close> = configure(options)
  local found <close> = new_watch(options, point)
  local results = table.pack(pcall(eddy.run, fn))
  if found.late then return false, late_error(found, options) end
  if not results[1] and not (allows and allows(results[2])) then return false, results[2] end
  add_counts(found.left, before)
  if files then add_files(found.left, files) end
  if #found.left > 0 and options.leaks ~= false then return false, "left behind:\n  " .. table.concat(found.left, "\n  ") end
  if not results[1] then return true end
  return table.unpack(results, 1, results.n)
end

local function pass_on(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

--- Run `fn` as the root task of a run of its own and return its results; its error is raised
--- unchanged. When it has ended, with all tasks that it spawned, nothing may be left: a background
--- task that still lives, a stream, listener or file that is open, a permit that was not given back is an
--- error that names each of them, and where it was spawned or acquired. A test that takes too long
--- is cancelled and raises an error of kind "timeout" which says what its tasks were waiting for;
--- one that loops without ever waiting cannot be stopped.
---
--- What `eddy.config` was told before applies, except for clock and seed. Errors that nobody awaits go to `on_error` or
--- to the standard error, as always, and do not fail the test; an `on_error` that collects them can.
---@param fn fun(): ...
---@param options eddy.testing.Options?
---@return any ...
function testing.run(fn, options)
  check_function("run", fn)
  return pass_on(execute(fn, check_options(options)))
end

-- ---- luaunit -----------------------------------------------------------------------------------

local function first_of(class, ...)
  for _, name in ipairs { ... } do
    if type(class[name]) == "function" then return class[name] end
  end
end

-- setUp, the test, and tearDown in any case; the first error counts.
local function run_method(class, method)
  local self = setmetatable({}, { __index = class })
  local set_up = first_of(class, "setUp", "Setup", "setup", "SetUp")
  local tear_down = first_of(class, "tearDown", "Teardown", "teardown", "TearDown")
  local ok, err = pcall(function()
    if set_up then set_up(self) end
    method(self)
  end)
  if tear_down then
    local down_ok, down_err = pcall(tear_down, self)
    if ok then ok, err = down_ok, down_err end
  end
  if not ok then error(err, 0) end
end

--- A class for luaunit whose methods may wait: `TestThing = testing.suite { test_x = function(self) … end }`.
--- Each test has a run of its own, in which `setUp`, the test and `tearDown` (also after a failure)
--- follow each other; `self` is new for each test and inherits from the class. `setupClass` and
--- `teardownClass` stay outside of any run. The options are those of `testing.run`.
---@generic T: table
---@param class T
---@param options eddy.testing.Options?
---@return T
function testing.suite(class, options)
  if type(class) ~= "table" then error(bad_argument(1, "suite", "table", class), 2) end
  options = check_options(options)
  local suite = { setupClass = class.setupClass, teardownClass = class.teardownClass }
  for name, method in pairs(class) do
    if type(name) == "string" and type(method) == "function" and name:lower():match "^test" then
      suite[name] = function() return pass_on(execute(function() run_method(class, method) end, options)) end
    end
  end
  return suite
end

-- ---- Every wait --------------------------------------------------------------------------------

---@class eddy.testing.PointOptions: eddy.testing.Options
---@field points integer?            try at most so many, spread over all; default 2000
---@field point integer?             only this one: to repeat a failure
---@field check fun()?              called after each run, outside any task: raises when something is wrong
---@field errors (fun(err: any): any)?  true for an error, other than the cancellation, that is in order

local POINT_OPTIONS = { points = "number", point = "number", check = "function", errors = "function" }

-- One run with `act` at the point `target`. Returns how many points there were, and what went wrong.
local function try_point(fn, act, target, options, allows)
  local count, name = 0, nil
  local ok, err = execute(fn, options, function()
    count = count + 1
    if count ~= target then return end
    name = name or probe.next()
    if act() then target = target + 1 end
  end, allows)
  if ok and options.check then ok, err = pcall(options.check) end
  if not ok then return count, err, name or "no point" end
  return count
end

-- At most `limit` of the numbers from 1 to `count`, evenly spread, both ends included.
local function spread(count, limit)
  local points = {}
  local n = math.min(count, limit)
  for i = 1, n do points[i] = n == count and i or 1 + (i - 1) * (count - 1) // math.max(n - 1, 1) end
  return points
end

local function try_all(what, fn, act, options, is_fine)
  local function allows(err) return is_fine and is_fine(err) or options.errors and options.errors(err) end
  local count, err = try_point(fn, act, 0, options)
  if err ~= nil then error(err, 0) end
  local points = options.point and { options.point } or spread(count, options.points or MAX_POINTS)
  for _, point in ipairs(points) do
    local _, problem, name = try_point(fn, act, point, options, allows)
    if problem ~= nil then
      error(("%s: point %d (%s): %s"):format(what, point, name, tostring(problem)), 0)
    end
  end
  return #points
end

--- Run `fn` once as `testing.run` does and count its points: the moments before a task goes on, and
--- after the last one of a turn has begun to wait. Then run it again and again, and call `act` at the
--- first point, the second, and so on. `act` runs outside any task and may do what does not wait:
--- cancel a task, close a stream, set an event; when it returns true it is called at the next point of
--- the same run, too. Each of the runs must succeed, or fail with an error
--- that `options.errors` says yes to, and leave nothing behind; what goes wrong is raised with the
--- point's number and name. `fn` must begin anew each time.
---@param fn fun()
---@param act fun(): boolean?
---@param options eddy.testing.PointOptions?
---@return integer points            how many were tried
function testing.everywhere(fn, act, options)
  check_function("everywhere", fn)
  if type(act) ~= "function" then error(bad_argument(2, "everywhere", "function", act), 2) end
  return try_all("everywhere", fn, act, check_options(options, POINT_OPTIONS))
end

local function cancel_root()
  local root = probe.root()
  if root then root:cancel "cancel_everywhere" end
end

local function is_cancelled(err) return eddy.is(err, "cancelled") end

--- Run `fn` with its task cancelled at the first wait, the second, and so on (see
--- `testing.everywhere`): while it waits, and when its answer has come but it has not run yet. Each
--- run must end with its results or with the cancellation, and leave nothing behind.
---@param fn fun()
---@param options eddy.testing.PointOptions?
---@return integer points            how many were tried
function testing.cancel_everywhere(fn, options)
  check_function("cancel_everywhere", fn)
  return try_all("cancel_everywhere", fn, cancel_root, check_options(options, POINT_OPTIONS), is_cancelled)
end

-- ---- Orders ------------------------------------------------------------------------------------

---@class eddy.testing.ExploreOptions: eddy.testing.Options
---@field runs integer?              default 100
---@field fn fun()?                  or as the first of the list
---@field [1] fun()?

local EXPLORE_OPTIONS = { runs = "number", fn = "function", [1] = "function" }

--- Run `fn` many times, each time with another seed and so with tasks that are ready at the same time
--- in another order. The first failure is raised with its seed; `explore{seed = N, runs = 1, fn}`
--- repeats it. Without `seed` the first one is drawn anew each time.
---
---     testing.explore { runs = 200, function() … end }
---@param options eddy.testing.ExploreOptions
---@return integer runs
function testing.explore(options)
  if type(options) ~= "table" then error(bad_argument(1, "explore", "table", options), 2) end
  check_options(options, EXPLORE_OPTIONS)
  local fn, runs = options.fn or options[1], math.tointeger(options.runs or 100)
  check_function("explore", fn)
  if not runs or runs < 1 then error("option 'runs' must be an integer above 0", 2) end
  local first = options.seed or math.random(0, 0x7fffffff)
  for seed = first, first + runs - 1 do
    local ok, err = execute(fn, { timeout = options.timeout, clock = options.clock, seed = seed, leaks = options.leaks })
    if not ok then
      error(("explore: run %d of %d failed; repeat it with explore{seed = %d, runs = 1, fn}: %s")
        :format(seed - first + 1, runs, seed, tostring(err)), 0)
    end
  end
  return runs
end

-- ---- Waiting for the world ---------------------------------------------------------------------

--- Ask `fn` again and again until what it returns is true, and return that; raise when it has not
--- become true within `seconds` of the run's clock.
---@async
---@generic T
---@param fn fun(): T
---@param seconds number?            default 5
---@return T
function testing.eventually(fn, seconds)
  local due = eddy.now() + (seconds or 5)
  while true do
    local value = fn()
    if value then return value end
    if eddy.now() >= due then error(("not within %g s"):format(seconds or 5), 2) end
    eddy.sleep(0.01)
  end
end

return testing
