-- SPDX-License-Identifier: MIT
-- The house is built in floors: a file includes (or requires) only what lies below it. Otherwise a
-- part cannot be read, tested or taken out alone.   lua tools/floors.lua FILE...
package.path = "tools/?.lua;" .. package.path
local csource = require "csource"

local failures = 0

local function complain(file, line, message, ...)
  failures = failures + 1
  io.write(("%s:%d: %s\n"):format(file, line, message:format(...)))
end

--- Call `see(line number, text)` for each line.
local function each_line(text, see)
  local number = 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    see(number, line)
  end
end

-- ---- Cycles ------------------------------------------------------------------------------------

--- Report each cycle of `graph` (name -> list of {to =, line =}) once.
local function find_cycles(graph, file_of)
  local state, trail = {}, {}
  local function visit(name)
    if state[name] == "done" then return end
    state[name] = "open"
    trail[#trail + 1] = name
    for _, edge in ipairs(graph[name] or {}) do
      if state[edge.to] == "open" then
        local from = #trail
        while trail[from] ~= edge.to do from = from - 1 end
        complain(file_of(name), edge.line, "cycle: %s -> %s", table.concat(trail, " -> ", from), edge.to)
      else
        visit(edge.to)
      end
    end
    trail[#trail] = nil
    state[name] = "done"
  end
  local names = {}
  for name in pairs(graph) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do visit(name) end
end

-- ---- C -----------------------------------------------------------------------------------------

local FLOOR = { base = 1, core = 2, proto = 2, sync = 3, io = 4, bind = 5, host = 6 }
local TOP = 7
-- Headers beside the floors that those who know Lua may include.
local COMMON = { ["eddy.h"] = true, ["compat.h"] = true }
local FOREIGN = { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["uv.h"] = true }

local function floor_of(path)
  local room = path:match("^(%w+)/")
  return room and FLOOR[room] or TOP, room
end

local function is_pure(room)
  return room == "base" or room == "proto"
end

local function check_include(file, line, path, target)
  local floor, room = floor_of(path)
  local to_floor, to_room = floor_of(target)
  if is_pure(room) and (FOREIGN[target] or COMMON[target]) then
    complain(file, line, "%s/ knows neither Lua nor libuv: it may not include %s", room, target)
  elseif COMMON[target] or FOREIGN[target] then
    return
  elseif to_floor > floor then
    complain(file, line, "%s is above %s/", target, room or "csrc")
  elseif to_floor == floor and room ~= to_room and room then
    complain(file, line, "%s/ and %s/ do not know each other (%s)", room, to_room, target)
  end
end

local function check_c(files)
  local known, graph = {}, {}
  for _, file in ipairs(files) do known[file:match("^csrc/(.*)$") or file] = true end
  for _, file in ipairs(files) do
    local path = file:match("^csrc/(.*)$")
    local edges = {}
    each_line(csource.read(file), function(line, text)
      local mark, name = text:match('^%s*#%s*include%s*([<"])([^>"]+)')
      if not name then return end
      local beside = path:match("^.*/") and path:match("^.*/") .. name
      local target = mark == '"' and beside and known[beside] and beside or name
      if mark == '"' and not known[target] then
        complain(file, line, 'no such file of ours: "%s"', name)
      elseif known[target] or FOREIGN[target] then
        check_include(file, line, path, target)
      end
      edges[#edges + 1] = known[target] and { to = target, line = line } or nil
    end)
    graph[path] = edges
  end
  find_cycles(graph, function(path) return "csrc/" .. path end)
end

-- ---- Lua ---------------------------------------------------------------------------------------

-- eddy.core < eddy, net, tls, fs ... < http < ws, web. Leaves are for people, not for our modules.
local RANK = { http = 2, ws = 3, web = 4 }
local LEAF = { ["eddy.cli"] = true, ["eddy.testing"] = true, ["eddy.debug"] = true, ["eddy.bench"] = true }

local function rank_of(module)
  if module == "eddy.core" then return 0 end
  return RANK[module:match("^eddy%.(%w+)")] or 1
end

local function module_of(file)
  return (file:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

local function check_require(file, line, module, target)
  if LEAF[target] and not LEAF[module] then
    complain(file, line, "%s is a leaf: nothing of ours requires it", target)
  elseif rank_of(target) > rank_of(module) and not LEAF[module] then
    complain(file, line, "%s is above %s", target, module)
  end
end

local function check_lua(files)
  local graph, file_of = {}, {}
  for _, file in ipairs(files) do
    local module = module_of(file)
    local edges = {}
    file_of[module] = file
    each_line(csource.read(file), function(line, text)
      local before, target = text:gsub("%-%-.*$", ""):match("^(.-)%f[%w_]require%s*%(?%s*[\"'](eddy[%w_.]*)[\"']")
      if not target then return end
      local is_lazy = before:match("^%s")   -- indented: runs when called, not while loading
      if not (is_lazy and module == "eddy") then check_require(file, line, module, target) end
      if not is_lazy then edges[#edges + 1] = { to = target, line = line } end
    end)
    graph[module] = edges
  end
  find_cycles(graph, function(module) return file_of[module] end)
end

-- ---- Both --------------------------------------------------------------------------------------

local c_files, lua_files = {}, {}
for _, file in ipairs(arg) do
  if file:match("^csrc/.*%.[ch]$") then c_files[#c_files + 1] = file end
  if file:match("^lua/.*%.lua$") then lua_files[#lua_files + 1] = file end
end
check_c(c_files)
check_lua(lua_files)
if failures > 0 then os.exit(false) end
