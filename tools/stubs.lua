-- SPDX-License-Identifier: MIT
-- Compare what is documented with what is there.   lua tools/stubs.lua FILE.lua...
--
-- Every function that an annotation describes must exist in the live module or object, with the same
-- arguments where it is written in Lua; and every public function that exists must be described.
package.path = "./?.lua;" .. package.path
local annotations = require "tools.annotations"
local eddy = require "eddy"

local problems = 0

local function complain(format, ...)
  problems = problems + 1
  print(format:format(...))
end

--- Live tables of functions by the name of their class or module; `inherited` is a set of functions
--- that are not ours to describe.
local live = dofile "tools/stubs_objects.lua"(eddy)

local function parameters_of(fn)
  local info = debug.getinfo(fn, "uS")
  if info.what == "C" then return nil end
  local names = {}
  for i = 1, info.nparams do names[i] = debug.getlocal(fn, i) end
  if info.isvararg then names[#names + 1] = "..." end
  return table.concat(names, ", ")
end

local function check_arguments(fn, owner, value)
  local parameters = parameters_of(value)
  local wanted = (fn.is_method and "self" .. (fn.arguments ~= "" and ", " or "") or "") .. fn.arguments
  if parameters and parameters ~= wanted then
    complain("%s:%d: %s.%s has the arguments (%s), described are (%s)", fn.path, fn.line, owner, fn.name, parameters, wanted)
  end
end

local function check_function(fn, owner, documented)
  local object = live[owner]
  if not object then
    complain("%s:%d: nothing is known about '%s' (add it to tools/stubs_objects.lua)", fn.path, fn.line, owner)
  elseif type(object[fn.name]) ~= "function" then
    complain("%s:%d: %s.%s does not exist", fn.path, fn.line, owner, fn.name)
  else
    documented[owner .. "." .. fn.name] = true
    check_arguments(fn, owner, object[fn.name])
  end
end

local function check_parameters(fn, owner)
  local described = {}
  for _, parameter in ipairs(fn.parameters) do described[parameter.name] = true end
  for name in fn.arguments:gmatch "[^,%s]+" do
    if not described[name] then complain("%s:%d: %s.%s: parameter '%s' is not described", fn.path, fn.line, owner, fn.name, name) end
  end
end

local documented, count = {}, 0
for _, path in ipairs(arg) do
  local found = annotations.read(path)
  for _, class in ipairs(found.classes) do
    for _, field in ipairs(class.fields) do documented[class.name .. "." .. field.name] = true end
  end
  for _, fn in ipairs(found.functions) do
    local owner = found.names[fn.owner] or fn.owner
    if fn.name:match "_$" then goto continue end   -- for ourselves
    if live[owner] or owner:match "^eddy" and not live.internal[owner] and not owner:match "^eddy%.http" then
      count = count + 1
      check_function(fn, owner, documented)
      check_parameters(fn, owner)
    end
    ::continue::
  end
end

live.internal = nil
local inherited = live.inherited
live.inherited = nil
for owner, object in pairs(live) do
  for name, value in pairs(object) do
    if type(value) == "function" and not tostring(name):match "_$" and not tostring(name):match "^__"
      and not documented[owner .. "." .. name] and not inherited[value] then
      complain("%s.%s is not described", owner, name)
    end
  end
end

print(("  stubs    %d functions are described, %d problems"):format(count, problems))
os.exit(problems == 0)
