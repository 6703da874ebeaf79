-- SPDX-License-Identifier: MIT
-- Every name of the contract's kernel and synchronisation is there or says by name that it is not yet.
local lu = ...
local eddy = require "eddy"

local NAMES = {
  "run", "spawn", "spawn_with", "background", "current", "sleep", "sleep_until", "now", "every", "group", "gather",
  "settle", "race", "any", "as_completed", "map", "each", "timeout", "within", "shield", "deadline", "remaining",
  "cancelled", "defer", "pcall", "is", "error", "future", "await", "gen", "coroutine", "require", "atomic", "var",
  "config", "stats", "dump", "semaphore", "lock", "event", "condition", "barrier", "queue", "select", "ratelimit",
  "pool", "offload", "offload_map", "frame", "on",
}

local HERE = {
  "run", "spawn", "spawn_with", "background", "current", "sleep", "sleep_until", "now", "group", "gather", "settle",
  "race", "any", "timeout", "within", "shield", "deadline", "remaining", "cancelled", "pcall", "is", "error",
  "config", "stats", "dump", "semaphore", "event", "queue", "atomic", "var", "every", "as_completed", "map", "each",
  "defer", "future", "await", "gen", "require", "lock", "condition", "barrier", "select", "ratelimit", "pool",
  "offload", "offload_map", "frame", "on",
}

local TestNames = {}

function TestNames:test_outside_each_name_is_there_or_says_so()
  for _, name in ipairs(NAMES) do
    local ok, value = pcall(function() return eddy[name] end)
    if ok then
      lu.assertTrue(type(value) == "function" or type(value) == "table", name)
    else
      lu.assertStrMatches(value, ".-missing_spec%.lua:%d+: not yet: eddy%." .. name)
    end
  end
end

function TestNames:test_outside_what_exists_is_no_stub()
  for _, name in ipairs(HERE) do lu.assertEquals({ name, type(eddy[name]) }, { name, "function" }) end
end

function TestNames:test_outside_other_names_are_nil()
  for _, name in ipairs { "open", "poll", "scope", "import", "worker", "async" } do lu.assertNil(eddy[name]) end
end

return { TestNames = TestNames }
