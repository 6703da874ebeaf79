-- SPDX-License-Identifier: MIT
-- The test runner: lua spec/run.lua [-v] [-s] [--patience=N] [NAME...]
--
-- Runs every spec/**/*_spec.lua, or those tests whose full name (`io/stream:TestRead.test_end`) holds
-- one of the NAMEs. -v names each test, -s shuffles.
--
-- A spec file gets luaunit as its argument and returns a table: `TestName = {test_x = function(self)}`
-- for a class, or plain functions `test_x`. Each test has a runtime of its own: method, setUp and
-- tearDown run inside one `eddy.run` and may wait. `test_outside...` methods run without a runtime.
-- A class may have `timeout` (seconds of real time a test may take, default 20), `clock = "manual"`, `seed`,
-- `leaks = false` (what is left behind is in order, and noting what is held costs nothing),
-- or `config = {...}` for `eddy.config`. `self` is new for every test and inherits from the class.
--
-- After each test nothing may be left. What a run leaves is found by eddy.testing, which runs the
-- tests; descriptors and new globals are looked for here. The last line is `N passed, N failed[, N
-- skipped]`.

package.path = "./?.lua;" .. package.path

local filters, flags, verbose = {}, {}, false
local disturb, disturb_n   -- see below
local patience = 1         -- --patience=N: tests may take so many times longer
for _, word in ipairs(arg) do
  if word == "-v" then verbose = true
  elseif word:find "^%-%-patience=%d+$" then patience = tonumber(word:match "%d+")
  elseif word:find "^%-%-%a+=%d+$" then disturb, disturb_n = word:match "^%-%-(%a+)=(%d+)$"
  elseif word:sub(1, 1) == "-" then flags[#flags + 1] = word
  else filters[#filters + 1] = (word:gsub("^spec/", ""):gsub("_spec%.lua$", ""):gsub("%.lua$", "")) end
end
flags[0] = arg[0]
_G.arg = flags   -- luaunit takes its command line from here while it loads

local lu = require "luaunit"
require "spec.support.stock"   -- before the first run
local eddy = require "eddy"
local testing = require "eddy.testing"
local probe = require("eddy.core").probe
local leaks = require "spec.support.leaks"
local new_report = require "spec.support.report"

local DEFAULT_TIMEOUT = 20
local traces = {}    -- test name -> where its error was raised, inside the task

-- ---- Disturbing -----------------------------------------------------------------------------------

local acts = {
  cancel = function() local root = probe.root() if root then root:cancel() end end,
  kill = function() probe.kill() end,
  abandon = function() error "abandoned" end,
}

--- With --seed=N tests run in another order of their ready tasks (those that are about the usual order
--- fail). With --cancel=N, --kill=N, --abandon=N each test runs again with that at N of its points: it must
--- end, and not crash; what becomes of it is not looked at. With --preempt=N every task is preempted after
--- each N instructions (tests that count turns, switches or memory fail).
local function run_disturbed(fn, options)
  if disturb == "preempt" then
    probe.preempt(math.tointeger(disturb_n))
    local _ <close> = setmetatable({}, { __close = function() probe.preempt(0) end })
    return testing.run(fn, options)
  end
  if not acts[disturb] then return testing.run(fn, options) end
  options.points, options.errors = math.tointeger(disturb_n), function() return true end
  options.leaks, options.timeout = false, math.max(5, options.timeout or 0)
  testing.everywhere(fn, acts[disturb], options)
end

-- ---- One test ----------------------------------------------------------------------------------

--- Raise what the test raised, unchanged; remember the stack that luaunit, outside, cannot see.
local function traced(name, fn, ...)
  return xpcall(fn, function(err)
    -- From the runner's own frames on the stack is the same for every test.
    traces[name] = debug.traceback("", 2):gsub("\n[^\n]*%f[%w]spec/run%.lua:.*$", ""):sub(2)
    return err
  end, ...)
end

--- setUp, the test and tearDown, which also runs after a failure; the first error counts.
local function run_body(self, name, method)
  local ok, err = traced(name, function()
    if self.setUp then self:setUp() end
    method(self)
  end)
  if self.tearDown then
    local down_ok, down_err = traced(name, self.tearDown, self)
    if ok then ok, err = down_ok, down_err end
  end
  if not ok then error(err, 0) end
end

--- Give the runtime the class's settings until the returned value is closed.
local function configure(settings)
  local defaults = {}
  for key in pairs(settings) do defaults[key] = false end
  if next(settings) then eddy.config(settings) end
  return setmetatable({}, { __close = function()
    if next(defaults) then eddy.config(defaults) end
  end })
end

local function run_once(class, name, method_name)
  local self = setmetatable({}, { __index = class })
  local method = class[method_name]
  local _ <close> = configure(class.config or {})
  if method_name:match("^test_outside") then return run_body(self, name, method) end
  run_disturbed(function() run_body(self, name, method) end, {
    timeout = patience * (class.timeout or DEFAULT_TIMEOUT), clock = class.clock or "real", leaks = class.leaks,
    seed = disturb == "seed" and math.tointeger(disturb_n) or class.seed,
  })
end

local function check_globals(globals)
  local names = leaks.added(globals, leaks.globals())
  if names ~= "" then error("new global names: " .. names, 0) end
end

--- Run a test and look for what it left. A descriptor that is opened once and then kept, such as the
--- loop's own, is no leak; one that every run of the test adds is. So where there are more than
--- before, the test runs a second time.
local function run_test(class, name, method_name)
  local globals = leaks.globals()
  local before, after = leaks.descriptors(), nil
  for _ = 1, 2 do
    before = after or before
    run_once(class, name, method_name)
    check_globals(globals)
    after = leaks.descriptors()
    if not leaks.has_grown(before, after) then return end
  end
  error("left behind: descriptors " .. leaks.added(before, after), 0)
end

-- ---- Collecting --------------------------------------------------------------------------------

local function spec_files()
  local pipe <close> = assert(io.popen("find spec -name '*_spec.lua' | LC_ALL=C sort"))
  local files = {}
  for path in pipe:lines() do files[#files + 1] = path end
  return files
end

local function is_wanted(name)
  if #filters == 0 then return true end
  for _, filter in ipairs(filters) do
    if name:find(filter, 1, true) then return true end
  end
  return false
end

--- What luaunit gets: the wanted tests as functions that do all of the above.
local function proxy_of(class_name, class)
  local proxy = { setupClass = class.setupClass, teardownClass = class.teardownClass }
  local any = false
  for method_name, method in pairs(class) do
    local name = class_name .. "." .. tostring(method_name)
    if type(method) == "function" and name:match("%.test") and is_wanted(name) then
      any = true
      proxy[method_name] = function() run_test(class, name, method_name) end
    end
  end
  return any and proxy or nil
end

--- The classes of a spec file by name; a file that does not load is a failing test.
local function classes_of(path)
  local short = path:gsub("^spec/", ""):gsub("_spec%.lua$", ""):gsub("%.", "_")   -- luaunit splits at dots
  local chunk, problem = loadfile(path)
  local ok, suite = false, problem
  if chunk then ok, suite = xpcall(chunk, debug.traceback, lu) end
  if ok and type(suite) ~= "table" then ok, suite = false, path .. ": returned no table" end
  if not ok then
    return { [short] = { test_outside_load = function() error(suite, 0) end } }
  end
  local classes, plain = {}, {}
  for name, value in pairs(suite) do
    if type(value) == "table" then classes[short .. ":" .. name] = value end
    if type(value) == "function" then plain[name] = value end
  end
  if next(plain) then classes[short] = plain end
  return classes
end

local function collect()
  local list = {}
  for _, path in ipairs(spec_files()) do
    for name, class in pairs(classes_of(path)) do
      local proxy = proxy_of(name, class)
      if proxy then list[#list + 1] = { name, proxy } end
    end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

-- ---- All of it ---------------------------------------------------------------------------------

_G.testNames = false   -- luaunit assigns this global; here before the first look at them
local list = collect()
local runner = lu.LuaUnit.new()
runner.outputType = new_report { verbose = verbose, now = eddy.now, traces = traces }
runner:runSuiteByInstances(list)

local result = runner.result
local failed = result.failureCount + result.errorCount
print(("%d passed, %d failed%s"):format(result.successCount, failed,
  result.skippedCount > 0 and (", %d skipped"):format(result.skippedCount) or ""))
io.stdout:flush()
os.exit(failed == 0 and result.successCount > 0, true)
