-- SPDX-License-Identifier: MIT
-- Fuzz what is taken apart in Lua:   lua spec/fuzz/lua/run.lua [SECONDS [SEED [TARGET]]]
-- Each target gets its corpus, then what is made of it, for so many seconds. A text for which something does
-- not hold is printed; put it into spec/fuzz/corpus/TARGET. As a module: `run(target, options)`.
package.path = "./?.lua;" .. package.path
local eddy = require "eddy"
local mutate = require "spec.fuzz.lua.mutate"
local targets = require "spec.fuzz.lua.targets"

--- The texts of a target's corpus.
local function corpus_of(name)
  local list = {}
  local pipe <close> = assert(io.popen(("ls spec/fuzz/corpus/%s/*"):format(name)))
  for path in pipe:lines() do
    local file <close> = assert(io.open(path, "rb"))
    list[#list + 1] = file:read "a"
  end
  assert(#list > 0, "no corpus for " .. name)
  return list
end

local function try(name, text)
  local ok, problem = pcall(targets[name].run, text)
  if not ok then error(("%s: %s\nfor %q"):format(name, tostring(problem), text), 0) end
end

--- The corpus, then `options.count` texts, or as many as `options.seconds` allow. Returns how many it were.
local function run(name, options)
  local corpus, random = corpus_of(name), mutate.random(options.seed or 1)
  local n, stop = 0, options.seconds and os.clock() + options.seconds
  for _, text in ipairs(corpus) do try(name, text) end
  while stop and os.clock() < stop or options.count and n < options.count do
    try(name, mutate.make(random, corpus, targets[name].words))
    n = n + 1
  end
  return n + #corpus
end

if not (arg and arg[0] and arg[0]:find "spec/fuzz/lua/run%.lua$") then return { run = run, targets = targets } end

eddy.run(function()
  local seconds, seed, only = tonumber(arg[1] or 10), math.tointeger(arg[2] or os.time()), arg[3]
  for name in pairs(targets) do
    if not only or only == name then
      print(("  fuzz     %s: %d texts, seed %d"):format(name, run(name, { seconds = seconds, seed = seed }), seed))
    end
  end
end)
