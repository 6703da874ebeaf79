-- SPDX-License-Identifier: MIT
--
-- A state for scripts that are not trusted (EDDY_SANDBOX of eddy.h): what of the standard library they
-- see, and what the Lua half of eddy sees, which is something else.
--
-- Two worlds share the state. Scripts have the globals. The library's own files are loaded with a
-- private environment, so that nothing a script puts into `string` or `_G` is run by them. Neither
-- world has a function that opens, starts or loads something without asking `core.permit`.
--
-- Also kept away is what no hook can stop, because it runs inside one call of C or inside a
-- finalizer: `__gc` of scripts, patterns and repetitions without end, tables that claim to be endless.
-- Promises: a bound that is hit raises; below the bounds everything does what Lua's manual says.

local core = require "eddy.core"

local function copy(from, names)
  local to = {}
  if names then
    for _, name in ipairs(names) do to[name] = from[name] end
  else
    for name, value in pairs(from) do to[name] = value end
  end
  return to
end

-- The globals will be the scripts': what follows must not look anything up in them.
local globals = _G
local world = copy(globals)
for _, name in ipairs { "coroutine", "debug", "io", "math", "os", "string", "table", "utf8" } do
  world[name] = copy(world[name] or {})
end
local _ENV = world   -- luacheck: ignore 211

local sandbox = {}

local REP_MAX = 1 << 24    -- bytes that one string.rep makes
local ITEMS_MAX = 1 << 22  -- items that one function of `table` goes over
local LOAD_MAX = 1 << 24   -- bytes of a chunk that comes in pieces
local LONG = 1024          -- bytes that C compares or compiles without anybody looking

-- What scripts may require besides what the host puts into package.preload.
local PUBLIC = { ["eddy"] = true, ["eddy.http"] = true, ["eddy.json"] = true, ["eddy.net"] = true, ["eddy.tls"] = true }
-- Their fields that stay inside: a metatable that scripts could add a finalizer to.
local INNER = { Error = true, ErrorGroup = true }

local BASIC = { "_VERSION", "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "print", "rawequal",
  "rawget", "rawlen", "rawset", "select", "tonumber", "tostring", "type", "xpcall" }

local function wrong(number, name, expected, value)
  error(("bad argument #%d to '%s' (%s expected, got %s)"):format(number, name, expected,
    value == nil and "no value" or type(value)), 3)
end

--- A function that is not there: raises, with what it would take in other places.
local function absent(name, capability)
  return function()
    if capability then core.permit(capability) end
    error(("'%s' is not there in a sandbox"):format(name), 2)
  end
end

-- ---- Files and the environment -----------------------------------------------------------------

local function refused(err) return nil, tostring(err), err.code == "ENOENT" and 2 or 13 end

local function open_of(stock)
  return function(path, mode)
    if type(path) ~= "string" then wrong(1, "open", "string", path) end
    mode = mode == nil and "r" or mode
    if type(mode) ~= "string" or not mode:find "^[rwa]%+?b?$" then error("bad argument #2 to 'open' (invalid mode)", 2) end
    local reads, writes = mode:find "[r+]", mode:find "[wa+]"
    local real, err
    if reads then real, err = core.permit_path("read", "open", path) end
    if writes and not err then real, err = core.permit_path("write", "open", path) end
    if err then return refused(err) end
    return stock(real, mode)
  end
end

local function remove_of(stock)
  return function(path)
    local real, err = core.permit_path("write", "remove", path)
    if not real then return refused(err) end
    return stock(real)
  end
end

local function rename_of(stock)
  return function(from, to)
    local real_from, err = core.permit_path("write", "rename", from)
    if not real_from then return refused(err) end
    local real_to, problem = core.permit_path("write", "rename", to)
    if not real_to then return refused(problem) end
    return stock(real_from, real_to)
  end
end

local function getenv_of(stock)
  return function(name)
    if type(name) ~= "string" then wrong(1, "getenv", "string", name) end
    if not core.permit("env", "getenv", name) then return nil end
    return stock(name)
  end
end

local function confined_os(stock)
  local os = copy(stock, { "clock", "date", "difftime", "time" })
  os.getenv, os.remove, os.rename = getenv_of(stock.getenv), remove_of(stock.remove), rename_of(stock.rename)
  os.execute, os.exit = absent("os.execute", "process"), absent "os.exit"
  os.setlocale, os.tmpname = absent "os.setlocale", absent("os.tmpname", "write")
  return os
end

local function confined_io(stock)
  local io = { type = stock.type }
  for name in pairs(stock) do
    if type(stock[name]) == "function" and not io[name] then io[name] = absent("io." .. name, "read") end
  end
  io.popen = absent("io.popen", "process")
  io.open = open_of(stock.open)
  io.lines = function(path, ...)
    if type(path) ~= "string" then wrong(1, "lines", "string", path) end
    local file, message = io.open(path)
    if not file then error(message, 2) end
    return file:lines(...)
  end
  return io
end

-- ---- Strings and tables ------------------------------------------------------------------------

-- Comparing long strings and compiling can take C hours. So Lua is called in between, where a hook may raise; not
-- this file's, for the library is never stopped in the middle.
local less, slices = load([[
local sub, size = ...
local function less(a, b) return a < b end
local function slices(text)
  local at = 1 - size
  return function()
    at = at + size
    return sub(text, at, at + size - 1)
  end
end
return less, slices
]], "=sandbox")(string.sub, LONG)

local function size_of(value)
  return type(value) == "string" and #value or type(value) == "number" and #tostring(value) or 0
end

local function rep(text, n, separator)
  local size = size_of(text) + size_of(separator)
  local count = math.tointeger(n)
  if count and count > 0 and count > REP_MAX // math.max(size, 1) then
    error("string.rep: more than a sandbox allows", 2)
  end
  return string.rep(text, n, separator)
end

local function bounded_string()
  local bounded = copy(string)
  for name, fn in pairs(core.pattern) do bounded[name] = fn end
  bounded.rep, bounded.dump = rep, absent "string.dump"
  return bounded
end

local function check_items(name, t)
  if type(t) ~= "table" then return end
  local meta = debug.getmetatable(t)
  if meta and rawget(meta, "__len") ~= nil then
    error(("table.%s: tables with '__len' are not taken in a sandbox"):format(name), 3)
  end
  if rawlen(t) > ITEMS_MAX then error(("table.%s: more items than a sandbox allows"):format(name), 3) end
end

local function check_range(name, from, to)
  from, to = math.tointeger(from), math.tointeger(to)
  if from and to and to >= from and (to - from < 0 or to - from >= ITEMS_MAX) then
    error(("table.%s: more items than a sandbox allows"):format(name), 3)
  end
end

--- May comparing two items take long?
local function has_long(t)
  if debug.getmetatable(t) then return true end
  for i = 1, rawlen(t) do
    local value = t[i]
    if type(value) == "string" and #value > LONG then return true end
  end
  return false
end

local function bounded_table()
  local stock, bounded = table, copy(table)
  for _, name in ipairs { "insert", "remove" } do
    bounded[name] = function(t, ...)
      check_items(name, t)
      return stock[name](t, ...)
    end
  end
  function bounded.sort(t, is_less)
    check_items("sort", t)
    if is_less == nil and type(t) == "table" and has_long(t) then is_less = less end
    return stock.sort(t, is_less)
  end
  function bounded.concat(t, separator, i, j)
    if j == nil then check_items("concat", t) end
    check_range("concat", i or 1, j or (type(t) == "table" and rawlen(t)))
    return stock.concat(t, separator, i, j)
  end
  function bounded.move(from, first, last, ...)
    check_range("move", first, last)
    return stock.move(from, first, last, ...)
  end
  return bounded
end

--- `load` of text alone. Pieces are gathered here, where a hook can stop a reader without an end.
local function load_of(stock)
  local function gather(reader)
    local pieces, size = {}, 0
    repeat
      local piece = reader()
      if piece ~= nil and type(piece) ~= "string" then error("reader function must return a string", 0) end
      pieces[#pieces + 1] = piece
      size = size + #(piece or "")
      if size > LOAD_MAX then error("the chunk is larger than a sandbox allows", 0) end
    until not piece or piece == ""
    return table.concat(pieces)
  end
  return function(chunk, name, mode, ...)
    if type(chunk) == "function" then
      local ok, text = pcall(gather, chunk)
      if not ok then return nil, text end
      chunk, name = text, name or "=(load)"
    end
    if type(chunk) ~= "string" then wrong(1, "load", "string", chunk) end
    if name == nil then name = chunk end
    if type(mode) == "string" and not mode:find("t", 1, true) then
      return nil, ("attempt to load a text chunk (mode is '%s')"):format(mode)
    end
    return stock(#chunk > LONG and slices(chunk) or chunk, name, "t", ...)
  end
end

-- ---- Metatables --------------------------------------------------------------------------------

--- The functions for scripts, and `setmetatable` for the library. A finalizer of a script would run where
--- nothing can stop it: scripts cannot set one on tables of their own, nor slip one into a metatable
--- of the library. Metatables that scripts have not set themselves are hidden: false.
local function metatable_functions()
  local get, set, raw = getmetatable, setmetatable, rawset
  local own, inner = set({}, { __mode = "k" }), set({}, { __mode = "k" })
  local guard = { __metatable = false, __newindex = function(t, key, value)
    if key == "__gc" then error("'__gc' is not there in a sandbox", 2) end
    raw(t, key, value)
  end }
  local script, library = {}, {}

  function library.guard(meta)
    if inner[meta] then return end
    inner[meta] = true
    if get(meta) == nil then set(meta, guard) end
  end
  function library.setmetatable(t, meta)
    if meta then library.guard(meta) end
    return set(t, meta)
  end
  function script.setmetatable(t, meta)
    if type(t) ~= "table" then wrong(1, "setmetatable", "table", t) end
    if meta ~= nil and type(meta) ~= "table" then wrong(2, "setmetatable", "nil or table", meta) end
    if meta and rawget(meta, "__gc") ~= nil then error("'__gc' is not there in a sandbox", 2) end
    local before = get(t)
    if before ~= nil and not own[before] then error("cannot change a protected metatable", 2) end
    if meta and not inner[meta] then own[meta] = true end
    return set(t, meta)
  end
  function script.getmetatable(value)
    local meta = get(value)
    if type(meta) ~= "table" or own[meta] then return meta end
    return false
  end
  function script.rawset(t, key, value)
    if key == "__gc" and type(t) == "table" and inner[t] then error("'__gc' is not there in a sandbox", 2) end
    return raw(t, key, value)
  end
  return script, library
end

-- ---- Modules -----------------------------------------------------------------------------------

--- What a script may load by `name`: "ours", "the host's", or nil.
local function kind_of(package, name)
  if PUBLIC[name] then return "ours" end
  if type(name) == "string" and not name:find "^eddy%f[^%w_]" and package.preload[name] then return "the host's" end
end

--- Scripts get a copy of a module's table: what they change in it does not reach the library.
local function shown(module)
  local view = copy(module)
  for name, value in pairs(view) do
    if INNER[name] then view[name] = nil
    elseif type(value) == "table" and getmetatable(value) == nil then view[name] = copy(value) end
  end
  return view
end

local function refuse_module(name)
  error(("module '%s' not found:\n\tin a sandbox there are eddy's own modules and those of the host"):format(name), 3)
end

--- `require` for scripts, and the `package` that eddy.require works with.
local function module_functions(package, require)
  local views = {}
  for _, name in ipairs { "coroutine", "math", "string", "table", "utf8" } do views[name] = globals[name] end
  views._G = globals

  local function load_view(name)
    local kind = kind_of(package, name)
    if not kind then return nil end
    local module, data = require(name)
    views[name] = kind == "ours" and shown(module) or module
    return views[name], data
  end
  local function script_require(name)
    if type(name) ~= "string" then wrong(1, "require", "string", name) end
    if views[name] ~= nil then return views[name] end
    local view, data = load_view(name)
    if view == nil then refuse_module(name) end
    return view, data
  end
  local function search(name)
    local kind = kind_of(package, name)
    if kind == "ours" then return load_view, ":preload:" end
    if kind then return package.preload[name], ":preload:" end
    return "\n\tin a sandbox there are eddy's own modules and those of the host"
  end
  return script_require, { loaded = views, searchers = { search } }
end

-- ---- Both worlds -------------------------------------------------------------------------------

local function library_environment(stock, package, library)
  local env = copy(stock, BASIC)
  for _, name in ipairs { "math", "string", "utf8" } do env[name] = copy(stock[name]) end
  env.table = bounded_table()   -- it goes over lists of scripts, whose `n` may say anything
  env.setmetatable, env.require, env.coroutine = library.setmetatable, stock.require, stock.coroutine
  env.collectgarbage, env.package = stock.collectgarbage, package
  env.io = { open = open_of(stock.io.open) }
  env.os = confined_os(stock.os)
  env.debug = copy(stock.debug, { "getinfo", "getmetatable", "traceback" })
  env._G = env
  return env
end

local COLLECT = { collect = true, count = true, step = true, isrunning = true }

local function collect_of(stock)
  return function(what, ...)
    if what ~= nil and not COLLECT[what] then
      error(("collectgarbage '%s' is not there in a sandbox"):format(tostring(what)), 2)
    end
    return stock(what, ...)
  end
end

local function hide_metatables(stock)
  local text = stock.debug.getmetatable("")
  text.__index, text.__metatable = bounded_string(), false   -- not the table that scripts have
  stock.debug.getmetatable(stock.io.stdout).__metatable = false
end

--- Shut the scripts of this state in. Called once by the runtime, before anything else is loaded.
---@return table environment   of the library's own files
function sandbox.confine()
  local package, stock = package, world
  local script, library = metatable_functions()
  package.searchers, package.path, package.cpath = { package.searchers[1] }, "", ""
  for name, fn in pairs(script) do globals[name] = fn end
  globals.xpcall = core.xpcall
  globals.load, globals.collectgarbage = load_of(stock.load), collect_of(stock.collectgarbage)
  globals.dofile, globals.loadfile = absent("dofile", "read"), absent("loadfile", "read")
  globals.string, globals.table, globals.coroutine = bounded_string(), bounded_table(), copy(stock.coroutine)
  globals.io, globals.os = confined_io(stock.io), confined_os(stock.os)
  globals.debug, globals.package, globals.warn = nil, nil, nil
  local confined
  globals.require, confined = module_functions(package, stock.require)
  hide_metatables(stock)
  for name in pairs(INNER) do library.guard(core[name]) end
  return library_environment(stock, confined, library)
end

return sandbox
