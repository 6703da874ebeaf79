-- SPDX-License-Identifier: MIT
-- A function's prefix says where it runs. Those that run in libuv's callbacks, or on a pool thread,
-- must not touch Lua: it could raise through libuv's frames.   lua tools/colours.lua FILE...
package.path = "tools/?.lua;" .. package.path
local csource = require "csource"

local LUA = { pattern = "^luaL?_", what = "touches Lua" }
local LOOP = { pattern = "^uv_", what = "touches libuv" }
local OWN_LOOP = { pattern = "^ed_loop", what = "touches the loop" }

local RULES = {
  on = { LUA },
  cancel = { LUA },
  drop = { LUA },
  work = { LUA, LOOP, OWN_LOOP },
}

-- Exceptions, with the reason: ["csrc/core/x.c:on_y"] = "why".
local ALLOWED = {}

local failures = 0

--- What a body calls: a list of {name =, line =}.
local function calls_of(func)
  local calls, line, at = {}, func.body_line, 1
  for from, name in func.body:gmatch("()%f[%a_]([%a_][%w_]*)%s*%(") do
    for _ in func.body:sub(at, from - 1):gmatch("\n") do line = line + 1 end
    at = from
    calls[#calls + 1] = { name = name, line = line }
  end
  return calls
end

--- Follow `func` and the functions of the same file that it calls, and report what breaks `rule`.
local function check(file, functions, start, rule)
  local seen = {}
  local function visit(func, via)
    seen[func.name] = true
    for _, call in ipairs(calls_of(func)) do
      local helper = functions[call.name]
      if call.name:match(rule.pattern) then
        failures = failures + 1
        io.write(("%s:%d: %s%s calls %s: %s_ functions must not: it %s\n"):format(file, call.line, start.name,
          via, call.name, start.name:match("^%a+"), rule.what))
      elseif helper and not seen[helper.name] then
        visit(helper, (" (through %s)"):format(helper.name))
      end
    end
  end
  visit(start, "")
end

for _, file in ipairs(arg) do
  local functions = {}
  local list = csource.functions(csource.read(file))
  for _, func in ipairs(list) do functions[func.name] = func end
  for _, func in ipairs(list) do
    local rules = RULES[func.name:match("^(%a+)_")]
    if rules and not ALLOWED[file .. ":" .. func.name] then
      for _, rule in ipairs(rules) do check(file, functions, func, rule) end
    end
  end
end
if failures > 0 then os.exit(false) end
