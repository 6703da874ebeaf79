-- SPDX-License-Identifier: MIT
-- Every name of the contract's kernel and synchronisation is there, and nothing is there for other names.
local lu = ...
local eddy = require "eddy"

local FUNCTIONS = {
  "run", "spawn", "spawn_with", "background", "current", "sleep", "sleep_until", "now", "every", "group", "gather",
  "settle", "race", "any", "as_completed", "map", "each", "timeout", "within", "shield", "deadline", "remaining",
  "cancelled", "defer", "pcall", "is", "error", "future", "await", "gen", "require", "atomic", "var", "config",
  "stats", "dump", "semaphore", "lock", "event", "condition", "barrier", "queue", "select", "ratelimit", "pool",
  "offload", "offload_map", "frame", "on",
}

local TestNames = {}

function TestNames:test_outside_each_name_is_there()
  for _, name in ipairs(FUNCTIONS) do lu.assertEquals({ name, type(eddy[name]) }, { name, "function" }) end
  for name in pairs(coroutine) do
    lu.assertEquals({ name, type(eddy.coroutine[name]) }, { name, "function" })
  end
end

function TestNames:test_outside_other_names_are_nil()
  for _, name in ipairs { "open", "poll", "scope", "import", "worker", "async" } do lu.assertNil(eddy[name]) end
end

return { TestNames = TestNames }
