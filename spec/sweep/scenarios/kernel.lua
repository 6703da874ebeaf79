-- SPDX-License-Identifier: MIT
-- Scenarios of the kernel: tasks, blocks, time, errors in clean-up. See spec/sweep/run.lua.
local eddy = require "eddy"

local scenarios = {}

local function swallow(...) return pcall(...) end

-- Background tasks are nobody's: who starts one ends it.
local function background(fn)
  local task = eddy.background(fn)
  return setmetatable({ task = task }, { __close = function() task:cancel() end })
end

function scenarios.sleep(s)
  local _ <close> = s.guard()
  eddy.sleep(1)
  eddy.sleep(0)
  eddy.sleep_until(eddy.now() + 2)
end

function scenarios.spawn_await(s)
  local task = eddy.spawn(function(...)
    local _ <close> = s.guard()
    eddy.sleep(1)
    return ...
  end, 1, nil, 3)
  local a, b, c = task:await()
  assert(a == 1 and b == nil and c == 3)
  assert(task:await() == 1)
end

function scenarios.spawn_join(s)
  local task = eddy.spawn(function()
    local _ <close> = s.guard()
    eddy.sleep(1)
    error("planned", 0)
  end)
  local ok, err = task:join()
  assert(not ok and (err == "planned" or eddy.is(err, "cancelled") or tostring(err):find "memory"))
end

function scenarios.children_of_children(s)
  local function tree(depth)
    local _ <close> = s.guard()
    if depth == 0 then return eddy.sleep(1) end
    eddy.spawn(tree, depth - 1)
    eddy.spawn(tree, depth - 1)
  end
  tree(3)
end

function scenarios.timeout(s)
  local ok, err = eddy.pcall(eddy.timeout, 1, function()
    local _ <close> = s.guard()
    eddy.sleep(10)
  end)
  assert(not ok and (eddy.is(err, "timeout") or tostring(err):find "memory"))
  assert(eddy.timeout(10, function() eddy.sleep(1) return "in time" end) == "in time")
end

function scenarios.within_nested(s)
  eddy.within(5, function()
    local _ <close> = s.guard()
    eddy.within(3, function()
      local _ <close> = s.guard()
      eddy.within(4, eddy.sleep, 10)
    end)
    eddy.sleep(10)
  end)
end

function scenarios.shield(s)
  eddy.within(1, function()
    eddy.shield(5, function()
      local _ <close> = s.guard()
      eddy.sleep(3)
      s.shielded = true
    end)
    eddy.sleep(1)
  end)
end

function scenarios.shield_runs_out(s)
  eddy.within(1, function()
    local _ <close> = s.guard()
    eddy.shield(2, eddy.sleep, 10)
  end)
end

function scenarios.clean_up_waits_in_a_shield(s)
  eddy.within(2, function()
    local _ <close> = setmetatable({}, { __close = function()
      eddy.shield(5, function()
        local _ <close> = s.guard()
        eddy.sleep(1)
        eddy.spawn(eddy.sleep, 1):await()
      end)
    end })
    eddy.sleep(10)
  end)
end

function scenarios.clean_up_waits_without_one(s)
  local ok = swallow(eddy.within, 1, function()
    local _ <close> = s.guard()
    local _ <close> = setmetatable({}, { __close = function() eddy.sleep(1) end })
    eddy.sleep(10)
  end)
  assert(ok ~= nil)
end

function scenarios.errors_in_clean_up(s)
  local function bad(text) return setmetatable({}, { __close = function() error(text, 0) end }) end
  local ok, err = swallow(eddy.group, function(group)
    for i = 1, 3 do
      group:spawn(function()
        local _ <close> = s.guard()
        local _ <close> = bad("planned clean-up " .. i)
        local _ <close> = s.guard()
        eddy.sleep(i)
      end)
    end
  end)
  assert(not ok and err ~= nil)
end

function scenarios.group(s)
  local result = eddy.group(function(group)
    local _ <close> = s.guard()
    for i = 1, 4 do
      group:spawn(function()
        local _ <close> = s.guard()
        eddy.sleep(i % 3)
      end)
    end
    eddy.sleep(1)
    return "result"
  end)
  assert(result == "result")
end

function scenarios.group_fails(s)
  local ok = swallow(eddy.group, function(group)
    group:spawn(function()
      local _ <close> = s.guard()
      eddy.sleep(10)
    end)
    group:spawn(function() eddy.sleep(1) error("planned a", 0) end)
    group:spawn(function() eddy.sleep(1) error("planned b", 0) end)
    eddy.sleep(5)
  end)
  assert(not ok)
end

function scenarios.group_cancelled(s)
  eddy.group(function(group)
    for _ = 1, 3 do
      group:spawn(function()
        local _ <close> = s.guard()
        eddy.sleep(10)
      end)
    end
    eddy.sleep(1)
    group:cancel "enough"
    eddy.sleep(1)
  end)
end

function scenarios.group_in_a_variable(s)
  local outer <close> = eddy.group()
  outer:spawn(function()
    local inner <close> = eddy.group()
    inner:spawn(function() local _ <close> = s.guard() eddy.sleep(2) end)
    inner:spawn_with({ name = "named" }, function() local _ <close> = s.guard() eddy.sleep(1) end)
    eddy.sleep(1)
    inner:cancel()
  end)
  eddy.sleep(1)
end

function scenarios.group_left_open(s)
  swallow(function()
    eddy.group(function()
      local group = eddy.group()
      group:spawn(function() local _ <close> = s.guard() eddy.sleep(5) end)
      eddy.sleep(1)
    end)
  end)
end

function scenarios.gather(s)
  local a, b, c = eddy.gather(
    function() local _ <close> = s.guard() eddy.sleep(2) return 1 end,
    function() local _ <close> = s.guard() eddy.sleep(1) return 2, 3 end,
    eddy.spawn(function() eddy.sleep(1) return 4 end))
  assert(a == 1 and b == 2 and c == 4)
end

function scenarios.gather_fails(s)
  local ok = swallow(eddy.gather, {
    function() local _ <close> = s.guard() eddy.sleep(5) end,
    function() eddy.sleep(1) error("planned", 0) end,
    function() eddy.sleep(1) error("planned as well", 0) end,
  })
  assert(not ok)
end

function scenarios.settle(s)
  local list = eddy.settle {
    function() local _ <close> = s.guard() eddy.sleep(1) return "fine" end,
    function() local _ <close> = s.guard() eddy.sleep(2) error("planned", 0) end,
  }
  assert(list.n == 2)
end

function scenarios.race(s)
  local value, index = eddy.race {
    function() local _ <close> = s.guard() eddy.sleep(5) return "slow" end,
    function() local _ <close> = s.guard() eddy.sleep(1) return "fast" end,
    function() eddy.shield(5, function() local _ <close> = s.guard() eddy.sleep(2) end) end,
  }
  assert(value == "fast" and index == 2 or s)
end

function scenarios.any(s)
  local ok = swallow(eddy.any, {
    function() eddy.sleep(1) error("planned", 0) end,
    function() local _ <close> = s.guard() eddy.sleep(2) return "good" end,
    function() local _ <close> = s.guard() eddy.sleep(9) return "late" end,
  })
  assert(ok ~= nil)
end

function scenarios.nested_blocks(s)
  eddy.within(10, function()
    eddy.group(function(group)
      group:spawn(function()
        eddy.shield(3, function()
          eddy.gather(
            function() local _ <close> = s.guard() eddy.within(1, eddy.sleep, 5) end,
            function() swallow(eddy.timeout, 1, function() local _ <close> = s.guard() eddy.sleep(3) end) end)
        end)
      end)
      group:spawn(function() local _ <close> = s.guard() eddy.sleep(2) end)
    end)
  end)
end

function scenarios.background(s)
  local first <close> = background(function()
    local _ <close> = s.guard()
    eddy.sleep(1)
    return "done"
  end)
  local _ <close> = background(function() eddy.sleep(1) error("planned for on_error", 0) end)
  eddy.sleep(2)
  first.task:join()
end

function scenarios.background_fails_and_is_awaited(s)
  local failing <close> = background(function()
    local _ <close> = s.guard()
    eddy.sleep(1)
    error("planned", 0)
  end)
  local ok = failing.task:join()
  assert(not ok)
end

function scenarios.swallowing(s)
  local task = eddy.spawn(function()
    for _ = 1, 4 do
      local _ <close> = s.guard()
      swallow(eddy.sleep, 3)
    end
  end)
  eddy.sleep(1)
  task:cancel()
  task:join()
end

function scenarios.cancel_before_it_runs(s)
  local task = eddy.spawn(function() local _ <close> = s.guard() eddy.sleep(1) end)
  task:cancel()
  task:join()
  assert(task:status() == "cancelled")
end

function scenarios.awaits_a_cancelled_task(s)
  local task = eddy.spawn(function() local _ <close> = s.guard() eddy.sleep(5) end)
  local waiter = eddy.spawn(function() return (pcall(task.await, task)) end)
  eddy.sleep(1)
  task:cancel "reason"
  waiter:join()
end

function scenarios.many_results(s)
  local task = eddy.spawn(function()
    local _ <close> = s.guard()
    eddy.sleep(1)
    return table.unpack({}, 1, 60)
  end)
  assert(select("#", task:await()) == 60)
end

function scenarios.deadlock(s)
  local never = eddy.event()
  local ok = swallow(eddy.group, function(group)
    group:spawn(function() local _ <close> = s.guard() eddy.within(1, never.wait, never) end)
    eddy.within(2, never.wait, never)
  end)
  assert(ok ~= nil)
end

function scenarios.a_task_that_yields_much(s)
  local _ <close> = s.guard()
  for _ = 1, 5 do eddy.gather(function() eddy.sleep(0) end, function() eddy.sleep(0) end) end
end

-- One task beyond its memory, one within; their limits end with them. What a limit does is an error of a
-- task that is awaited.
function scenarios.memory_limits(s)
  local function hoard()
    local _ <close> = s.guard()
    local list = {}
    while true do list[#list + 1] = ("x"):rep(100) .. #list end
  end
  local greedy = eddy.spawn_with({ memory = 20000, name = "greedy" }, function()
    local _ <close> = s.guard()
    coroutine.wrap(hoard)()
  end)
  local modest = eddy.spawn_with({ memory = 1 << 30 }, function()
    local _ <close> = s.guard()
    eddy.sleep(1)
    return "done"
  end)
  greedy:join()
  modest:join()
end

-- The watchdog comes and goes with the run.
function scenarios.slices(s)
  local task = eddy.spawn_with({ slice = 10, cpu = 10 }, function()
    local _ <close> = s.guard()
    eddy.sleep(1)
    for _ in eddy.gen(function(emit) emit(1) eddy.sleep(1) emit(2) end) do eddy.sleep(0) end
  end)
  task:join()
end

return scenarios
