-- SPDX-License-Identifier: MIT
-- Attempts to get out of a sandbox, or to take it down with one. sandbox_test.c runs each in a runtime
-- of its own without any capability; the number is in the global NUMBER. An attempt is stopped when it
-- raises, or returns nothing or false; what it returns otherwise it has got hold of.
-- luacheck: ignore

local eddy = require "eddy"
local HERE, OUT = "Makefile", "build/escaped"   -- a file that is there; one that must not come to be

local list = {}
local function attempt(name, fn) list[#list + 1] = { name, fn } end

-- What needs a module, said once.
-- That it is not there would stop every attempt: the test looks at BROKEN.
local require, pcall = require, pcall
local function public(name)
  local ok, found = pcall(require, name)
  if not ok then BROKEN = tostring(found) end
  return found
end
local function net() return public "eddy.net" end
local function http() return public "eddy.http" end
local function tls() return public "eddy.tls" end

-- ---- Files, programs, the environment ----------------------------------------------------------

attempt("io.open to read", function() return io.open(HERE) end)
attempt("io.open to write", function() return io.open(OUT, "w") end)
attempt("io.open to append", function() return io.open(OUT, "a+b") end)
attempt("io.lines", function() return io.lines(HERE) end)
attempt("io.popen", function() return io.popen "id" end)
attempt("io.tmpfile", function() return io.tmpfile() end)
attempt("io.input", function() return io.input(HERE) end)
attempt("io.output", function() return io.output(OUT) end)
attempt("io.read", function() return io.read "l" end)
attempt("io.write", function() return io.write "" end)
attempt("the standard streams", function() return io.stdin or io.stdout or io.stderr end)
attempt("os.execute", function() return os.execute "true" end)
attempt("os.exit", function() return os.exit(0, true) end)
attempt("os.remove", function() return os.remove(HERE .. ".no") end)
attempt("os.rename", function() return os.rename(HERE .. ".no", OUT) end)
attempt("os.tmpname", function() return os.tmpname() end)
attempt("os.getenv", function() return os.getenv "PATH" end)
attempt("os.setlocale", function() return os.setlocale "C" end)
attempt("dofile", function() return dofile(HERE) end)
attempt("loadfile", function() return loadfile(HERE) end)
attempt("http.file", function() return http().file(HERE).fetch end)

-- ---- Code ---------------------------------------------------------------------------------------

attempt("load of bytecode", function() return load("\27Lua\x54\0\x19\x93\r\n\x1a\n", "x", "b") end)
attempt("load of bytecode as both", function() return load("\27Lua\x54\0\x19\x93\r\n\x1a\n", "x", "bt") end)
attempt("load of bytecode in pieces", function()
  local pieces = { "\27", "Lua", "\x54" }
  return load(function() return table.remove(pieces, 1) end, "x", "b")
end)
attempt("string.dump", function() return string.dump(function() return 1 end) end)
attempt("dump by a method", function() return (("").dump)(attempt) end)
attempt("debug", function() return debug or package or warn end)
attempt("require of debug", function() return require "debug" end)
attempt("require of io", function() return require "io" end)
attempt("require of package", function() return require "package" end)
attempt("require of os", function() return require "os" end)
attempt("require of the core", function() return require "eddy.core" end)
attempt("require of the sandbox", function() return require "eddy.sandbox" end)
attempt("require of inner modules", function()
  for _, name in ipairs { "eddy.http.client", "eddy.host", "eddy.loader", "eddy.misuse", "eddy.cli", "eddy.testing" } do
    local ok, found = pcall(require, name)
    if ok then return found end
  end
end)
attempt("require of a file", function() return require "spec.host.hostile" end)
attempt("require of a library", function() return require "lpeg" end)
attempt("eddy.require of the core", function() return eddy.require "eddy.core" end)
attempt("eddy.require of io", function() return eddy.require "io" end)
attempt("eddy.require of a file", function() return eddy.require "spec.host.hostile" end)
attempt("a module with a hostile name", function() return require(setmetatable({}, { __tostring = function() return "io" end })) end)
attempt("loading into another environment", function()
  local fn = load("return debug, package, io.stdout", "x", "t", _G)
  return fn and fn()
end)
attempt("_ENV as a constant", function() return load("local _ENV <const> = {} return x.y")() end)
attempt("source without an end", function() return load(math.random) end)
attempt("source nested deep", function() return load(("("):rep(100000) .. "1") end)
attempt("a reader without an end", function()
  return load(function() return ("x"):rep(65536) end)
end)

-- ---- The network, threads, signals --------------------------------------------------------------

attempt("net.connect", function() return net().connect "127.0.0.1:1" end)
attempt("net.connect to a name", function() return net().connect "localhost:1" end)
attempt("net.connect to a host", function() return net().connect { host = "example.org", port = 80 } end)
attempt("net.connect with TLS", function() return net().connect { host = "127.0.0.1", port = 1, tls = true } end)
attempt("a Unix socket", function() return net().connect "unix:/tmp/escaped" end)
attempt("an abstract socket", function() return net().connect { path = "@escaped" } end)
attempt("net.listen", function() return net().listen "127.0.0.1:0" end)
attempt("net.listen on all addresses", function() return net().listen { host = "::", port = 0 } end)
attempt("listening on a path", function() return net().listen("unix:" .. OUT) end)
attempt("tls.context", function() return tls().context {} end)
attempt("tls.context with a file", function() return tls().context { ca = "/etc/ssl/certs/ca-certificates.crt" } end)
attempt("tls.context with a key", function() return tls().context { server = true, cert = HERE, key = HERE } end)
attempt("tls.connect", function() return tls().connect "127.0.0.1:1" end)
attempt("tls.wrap of nothing", function() return tls().wrap({}, true) end)
attempt("http.get", function() return http().get "http://127.0.0.1:1/" end)
attempt("http.get over TLS", function() return http().get "https://127.0.0.1:1/" end)
attempt("http.get of a file", function() return http().get "file:///etc/passwd" end)
attempt("http.get by a proxy", function() return http().get("http://127.0.0.1/", { proxy = "environment" }) end)
attempt("http.get by a path", function() return http().get("http://x/", { unix = "/tmp/escaped" }) end)
attempt("http.download", function() return http().download("http://127.0.0.1:1/", OUT) end)
attempt("http.download that resumes", function() return http().download("http://127.0.0.1:1/", OUT, { resume = true }) end)
attempt("http.events", function() for event in http().events "http://127.0.0.1:1/" do return event end end)
attempt("http.client", function()
  local client <close> = http().client { base_url = "http://127.0.0.1:1/" }
  return client:get "x"
end)
attempt("http.serve", function() return http().serve { port = 0, handler = function() return 200 end } end)
attempt("offload", function() return eddy.offload(function() return 1 end) end)
attempt("offload_map", function() return eddy.offload_map({ 1 }, function() return 1 end) end)
attempt("offload from a child", function() return eddy.gather(function() return eddy.offload(print) end) end)
attempt("offload in the background", function() return eddy.background(eddy.offload, print):await() end)
attempt("offload with functions of C", function() return eddy.offload(io.open, HERE) end)

-- ---- The runtime --------------------------------------------------------------------------------

attempt("config", function() return eddy.config { on_error = print } or eddy.config { worker_init = print } end)
attempt("run inside a run", function() return eddy.run(function() return 1 end) end)
attempt("testing", function() return require "eddy.testing" end)
attempt("another library for others", function()
  eddy.sleep = error
  local again = require "eddy"
  assert(again.sleep == error)          -- their own copy
  return http().get "http://127.0.0.1:1/"
end)
attempt("globals that the library might use", function()
  local pcall, pairs, text, leak = pcall, pairs, string, nil
  local function trap(...) leak = leak or { ... } end
  for name in pairs(_G) do if name ~= "_G" and name ~= "NAME" then _G[name] = trap end end
  for name in pairs(text) do text[name] = trap end
  pcall(eddy.gather, function() eddy.sleep(0) end)
  pcall(eddy.map, { 1, 2 }, function() end)
  pcall(eddy.require, "io")
  pcall(function() return ("%d"):format(1), ("a"):rep(2), ("x"):find "x" end)
  return leak
end)
attempt("a changed string library", function()
  string.rep = nil
  string.find = error
  return ("a"):rep(3) ~= "aaa" or ("ab"):find "b" ~= 2
end)
attempt("the metatable of strings", function() return getmetatable "" end)
attempt("the metatable of a task", function() return getmetatable(eddy.current()) end)
attempt("metatables of all handles", function()
  for _, object in ipairs { eddy.queue(), eddy.semaphore(1), eddy.lock(), eddy.event(), eddy.future(), eddy.var(),
    eddy.error {}, eddy.pool { open = print }, eddy.every(1), eddy.on "x", http().client {}, http().cookies(),
    eddy.defer(print) } do
    if getmetatable(object) then return object end
  end
end)
attempt("a finalizer called by hand", function() return getmetatable(eddy.current()).__gc(eddy.current()) end)
attempt("methods with a wrong self", function()
  local objects = { eddy.current(), eddy.queue(), eddy.semaphore(1), eddy.lock(), eddy.event(), eddy.future(), eddy.var(),
    eddy.condition(), eddy.barrier(2), eddy.ratelimit(1, 1) }
  local selves = { 0, "x", {}, print, coroutine.create(print), table.unpack(objects) }
  local names = { "await", "join", "cancel", "status", "name", "traceback", "get", "put", "try_get", "try_put", "close",
    "acquire", "release", "try_acquire", "set", "clear", "wait", "notify", "abort", "reset", "with", "fail", "size" }
  for _, object in ipairs(objects) do
    for _, name in ipairs(names) do
      local method = object[name]
      for _, self in ipairs(method and selves or {}) do
        if self ~= object then eddy.within(0, pcall, method, self, self) end
      end
    end
  end
end)
attempt("closing twice and out of order", function()
  local group = eddy.group()
  local permit = eddy.semaphore(1):acquire()
  local guard = eddy.lock():acquire()
  permit:release() permit:release() guard:release() guard:release()
  for _ = 1, 3 do pcall(function()
    local a <close> = group
    local b <close> = permit
  end) end
end)
attempt("huge and odd numbers", function()
  for _, n in ipairs { math.huge, -math.huge, 0 / 0, math.maxinteger, math.mininteger, 1e308, -1, 0 } do
    for _, make in ipairs { eddy.queue, eddy.semaphore, eddy.barrier, eddy.every, eddy.sleep_until } do
      eddy.within(0, pcall, make, n)
    end
    eddy.within(0, pcall, eddy.sleep, n)
    pcall(eddy.ratelimit, n, n, n)
    pcall(eddy.timeout, n, function() end)
    pcall(eddy.map, { n = n }, type)
    pcall(eddy.map, {}, print, { limit = n })
  end
end)
attempt("resuming a task's coroutine", function()
  local co = eddy.spawn(function() return (coroutine.running()) end):await()
  return coroutine.resume(co) and true
end)
attempt("resuming one that waits", function()
  local co
  eddy.spawn(function() co = coroutine.running() eddy.sleep(1) end)
  eddy.sleep(0)
  return coroutine.resume(co) or pcall(coroutine.close, co)
end)
attempt("yielding out of everything", function()
  return eddy.group(function() coroutine.yield(1) end)
end)
attempt("closing coroutines inside each other", function()
  local last
  for _ = 1, 20000 do
    local inner = last
    last = coroutine.create(function()
      local _ <close> = setmetatable({}, { __close = function() if inner then coroutine.close(inner) end end })
      coroutine.yield()
    end)
    coroutine.resume(last)
  end
  coroutine.close(last)
end)
attempt("wrapped coroutines that fail inside each other", function()
  local last = function() error "x" end
  for _ = 1, 20000 do
    local inner = last
    last = coroutine.wrap(function()
      local _ <close> = setmetatable({}, { __close = function() inner() end })
      error "y"
    end)
  end
  last()
end)

-- ---- Finalizers and metatables -------------------------------------------------------------------

attempt("a finalizer", function() return setmetatable({}, { __gc = function() end }) end)
attempt("a finalizer in two steps", function()
  local meta = {}
  setmetatable({}, meta)
  meta.__gc = function() GONE = true end
  pcall(setmetatable, {}, meta)
  collectgarbage()
  return GONE
end)
attempt("a finalizer in a class of the library", function()
  local classes = { eddy.Error, eddy.ErrorGroup, eddy.on "x".__index, http().client {}.__index, eddy.pool { open = print }.__index }
  for _, class in pairs(classes) do
    pcall(function() class.__gc = function() GONE = true end end)
    pcall(rawset, class, "__gc", function() GONE = true end)
  end
  for _ = 1, 10 do http().client {} eddy.on "y" eddy.error {} eddy.pool { open = print } pcall(http().get, "http://127.0.0.1:1/") end
  collectgarbage() collectgarbage()
  return GONE
end)
attempt("another metatable for theirs", function() return setmetatable(eddy.error {}, {}) end)
attempt("stopping the collector", function() return collectgarbage "stop" end)
attempt("errors with a hostile __tostring", function()
  error(setmetatable({}, { __tostring = function() while true do end end }))
end)
attempt("errors with a hostile __tostring, by a task", function()
  eddy.background(error, setmetatable({}, { __tostring = function() while true do end end }))
  eddy.background(error, eddy.error { message = setmetatable({}, { __tostring = function() while true do end end }) })
  eddy.sleep(0)
end)
attempt("an error with a hostile __index", function()
  error(setmetatable({}, { __index = function() while true do end end, __name = {} }))
end)

-- ---- Bombs ---------------------------------------------------------------------------------------

attempt("memory by a table", function() local t = {} for i = 1, math.huge do t[i] = {} end end)
attempt("memory by strings", function() local s = "x" while true do s = s .. s end end)
attempt("memory by closures", function() local f repeat local g = f f = function() return g end until false end)
attempt("memory by tasks", function() while true do eddy.spawn(eddy.sleep, 1e9) end end)
attempt("memory by queues", function()
  local q = eddy.queue()
  while true do q:try_put { ("x"):rep(1000) } end
end)
attempt("memory by coroutines", function() local t = {} for i = 1, math.huge do t[i] = coroutine.create(print) end end)
attempt("memory by names", function() while true do eddy.spawn_with({ name = ("x"):rep(100000) }, eddy.sleep, 1e9) end end)
attempt("memory by caught errors", function()
  local t = {}
  while true do if not pcall(function() for i = #t, math.huge do t[i + 1] = { i } end end) then break end end
  error "full"
end)
attempt("string.rep", function() return ("x"):rep(1 << 40) end)
attempt("string.rep of nothing", function() return (""):rep(math.maxinteger) end)
attempt("string.rep with a separator", function() return string.rep("", 1 << 40, "ab") end)
attempt("string.pack", function() return string.pack("c2147483647", "x") end)
attempt("string.format", function() return ("%99.99f"):format(1e308):rep(1e6) end)
attempt("a pattern without an end", function() return ("a"):rep(60000):find(("a*"):rep(30) .. "b") end)
attempt("a pattern that goes back", function() return ("a"):rep(60000):match(".-.-.-.-.-.-b$") end)
attempt("gmatch without an end", function() for _ in ("a"):rep(60000):gmatch(("a-"):rep(30) .. "b") do end end)
attempt("gsub without an end", function() return ("a"):rep(60000):gsub(("a?"):rep(100) .. "b", "") == nil end)
attempt("balance without an end", function() return ("("):rep(100000):find "%b()" end)
attempt("plain find without an end", function() return ("a"):rep(2000000):find(("a"):rep(1000000) .. "b", 1, true) end)
attempt("a deep pattern", function() return ("a"):rep(1000):find(("a?"):rep(1000)) end)
attempt("table.concat of nothing", function()
  return table.concat(setmetatable({}, { __index = rawlen, __len = function() return 1 << 60 end }))
end)
attempt("table.concat far away", function() return table.concat(setmetatable({}, { __index = rawlen }), "", 1, 1 << 60) end)
attempt("table.move far", function() return table.move({}, 1, math.maxinteger - 1, 2) end)
attempt("table.insert into the endless", function()
  return table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 1)
end)
attempt("table.insert into the holes", function()
  local t = {}
  for i = 0, 62 do t[1 << i] = true end
  return #t > 1 << 30 and table.insert(t, 1, 1)
end)
attempt("table.remove from the endless", function()
  return table.remove(setmetatable({}, { __len = function() return 1 << 60 end }), 1)
end)
attempt("table.sort of the endless", function()
  return table.sort(setmetatable({}, { __index = rawlen, __newindex = rawequal, __len = function() return 1 << 30 end }))
end)
attempt("table.sort of long strings", function()
  local a, b, t = ("x"):rep(1 << 21) .. "a", ("x"):rep(1 << 21) .. "b", {}
  for i = 1, 1 << 17 do t[i] = i % 2 == 0 and a or b end
  return table.sort(t)
end)
attempt("table.sort of long strings behind a metatable", function()
  local a, b = ("x"):rep(1 << 21) .. "a", ("x"):rep(1 << 21) .. "b"
  local t = setmetatable({}, { __index = function(_, i) return i % 2 == 0 and a or b end, __newindex = rawequal })
  for i = 1, 1 << 17 do rawset(t, i, i) end
  for i = 1, (1 << 17) - 1 do rawset(t, i, nil) end
  return table.sort(t)
end)
attempt("source that is slow to compile", function()
  local names = {}
  for i = 1, 190 do names[i] = "a" .. i end
  local head = "local function f() local " .. table.concat(names, ",") .. "\n"
  return load(head:rep(180) .. ("x=y "):rep(1 << 18) .. ("end "):rep(180))
end)
attempt("table.unpack of the endless", function() return table.unpack({}, 1, 1 << 30) end)
attempt("recursion", function() local function f() return 1 + f() end return f() end)
attempt("recursion by metamethods", function()
  local t = setmetatable({}, {})
  getmetatable(t).__index = function(_, k) return t[k + 1] end
  return t[1]
end)
attempt("recursion by pcall", function() local function f() return pcall(f) end f() end)
attempt("recursion by coroutines", function()
  local function f() return coroutine.wrap(f)() end
  return f()
end)
attempt("recursion by blocks", function() local function f() return eddy.group(f) end return f() end)
attempt("recursion by gsub", function() local function f() return ("x"):gsub("x", f) end return f() end)
attempt("recursion by tostring", function()
  local t = setmetatable({}, {})
  getmetatable(t).__tostring = function() return tostring(t) end
  return tostring(t)
end)
attempt("an endless loop", function() while true do end end)
attempt("an endless loop in a coroutine", function() coroutine.wrap(function() while true do end end)() end)
attempt("an endless loop when closed", function()
  local _ <close> = setmetatable({}, { __close = function() while true do end end })
end)
attempt("an endless loop in a comparison", function() table.sort({ 1, 2, 3 }, function() while true do end end) end)

-- ---- Loops that catch what stops them -----------------------------------------------------------

local function forever() while true do end end
local function stubborn() while true do pcall(forever) end end
local function closing(fn) return setmetatable({}, { __close = fn }) end

attempt("a caught loop", stubborn)
attempt("a caught loop in coroutines", function() while true do coroutine.resume(coroutine.create(stubborn)) end end)
attempt("a caught loop in a metamethod", function()
  local t = setmetatable({}, { __index = stubborn, __lt = stubborn, __concat = stubborn, __call = stubborn })
  while true do pcall(function() return t.x, t < t, t .. t, t() end) end
end)
attempt("a caught loop when closed", function()
  while true do pcall(function() local _ <close> = closing(stubborn) end) end
end)
attempt("caught loops when killed", function()
  local function nest(n)
    local _ <close> = closing(stubborn)
    if n > 0 then nest(n - 1) end
    forever()
  end
  nest(100)
end)
attempt("a caught loop in a callback", function() while true do pcall(string.gsub, "x", "x", stubborn) end end)
attempt("a caught loop in a comparison", function() while true do pcall(table.sort, { 3, 2, 1 }, stubborn) end end)
attempt("a caught loop in an iterator", function()
  while true do pcall(function() for _ in function() ::again:: goto again end do end end) end
end)
attempt("a caught loop in a reader", function() while true do pcall(load, stubborn) end end)
attempt("a caught loop in tostring", function()
  local t = setmetatable({}, { __tostring = stubborn })
  while true do pcall(tostring, t) end
end)
attempt("a message handler without an end", function() while true do xpcall(error, stubborn) end end)
attempt("a message handler below a callback", function()
  string.gsub("x", "x", function() while true do xpcall(forever, forever) end end)
end)
attempt("message handlers inside each other", function()
  local function handler() xpcall(error, handler) stubborn() end
  while true do pcall(string.gsub, "x", "x", function() while true do xpcall(forever, handler) end end) end
end)
attempt("a message handler for a misplaced yield", function()
  local out = coroutine.wrap(function() eddy.group(function() xpcall(coroutine.yield, forever) end) end)
  while true do pcall(out) end
end)
attempt("a tower of pcall below a callback", function()
  local function tower(n)
    if n == 0 then forever() end
    while true do pcall(tower, n - 1) end
  end
  string.gsub("x", "x", function() tower(150) end)
end)
attempt("coroutines that are closed, without an end", function()
  while true do
    local co = coroutine.create(function()
      local _ <close> = closing(stubborn)
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)
  end
end)
attempt("coroutines that die inside each other, without an end", function()
  local function deep() return coroutine.wrap(deep)() end
  while true do pcall(deep) end
end)
attempt("clean-up without an end in many coroutines", function()
  local function nest(n)
    local _ <close> = closing(stubborn)
    if n > 0 then coroutine.wrap(nest)(n - 1) end
    forever()
  end
  nest(100)
end)
attempt("clean-up without an end in many tasks", function()
  for _ = 1, 50 do
    eddy.spawn(function()
      local _ <close> = closing(stubborn)
      while true do pcall(eddy.sleep, 1000) end
    end)
  end
  eddy.sleep(0)
  forever()
end)
attempt("a caught loop in eddy.atomic", function() while true do pcall(eddy.atomic, stubborn) end end)
attempt("a caught loop in a shield", function() eddy.shield(math.huge, stubborn) end)
attempt("a caught loop in eddy.defer", function()
  local _ <close> = eddy.defer(stubborn, math.huge)
  forever()
end)
attempt("a caught loop in a generator", function()
  for _ in eddy.gen(function(emit) while true do pcall(function() while true do emit(1) end end) end end) do end
end)
attempt("a canceller without an end", function()
  eddy.within(0, eddy.await, function() return stubborn end)
end)
attempt("spawning without an end", function() while true do eddy.spawn(function() end) end end)
attempt("catastrophic patterns, caught", function()
  while true do pcall(string.find, ("a"):rep(60000), ("a-"):rep(30) .. "b") end
end)
attempt("long strings, caught", function() while true do pcall(string.rep, "x", 1 << 23) end end)
attempt("a lack of memory, caught", function()
  while true do pcall(function() local s = "x" while true do s = s .. s end end) end
end)
attempt("a million coroutines, caught", function()
  local t = {}
  while true do pcall(function() for _ = 1, 1e6 do t[#t + 1] = coroutine.create(print) end end) end
end)

-- ---- Running one ----------------------------------------------------------------------------------

if NUMBER == 0 then return #list end
NAME = list[NUMBER][1]
return (list[NUMBER][2]())
