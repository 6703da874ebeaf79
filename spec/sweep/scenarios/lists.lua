-- SPDX-License-Identifier: MIT
-- Scenarios of lists of work, generators, futures, callbacks and deferred clean-up. See spec/sweep/run.lua.
local eddy = require "eddy"

local scenarios = {}

function scenarios.gen(s)
  local sum = 0
  for i in eddy.gen(function(emit)
    local _ <close> = s.guard()
    for i = 1, 3 do
      eddy.sleep(1)
      emit(i)
    end
  end) do
    local _ <close> = s.guard()
    sum = sum + i
    eddy.sleep(1)
  end
  assert(sum == 6)
end

function scenarios.gen_left(s)
  for i in eddy.gen(function(emit)
    local _ <close> = s.guard()
    local _ <close> = eddy.defer(function() eddy.sleep(1) end)
    for i = 1, 9 do emit(i) end
  end) do
    if i == 2 then break end
    eddy.sleep(1)
  end
end

-- Nobody closes them but the ends of the tasks that made them.
function scenarios.gen_dropped(s)
  local function drop()
    return (eddy.gen(function(emit)
      local _ <close> = s.guard()
      local _ <close> = eddy.defer(function() eddy.sleep(1) end)
      for i = 1, 9 do emit(i) end
    end)())
  end
  local child = eddy.spawn(function()
    local _ <close> = s.guard()
    drop()
    eddy.sleep(1)
    return drop()
  end)
  drop()
  child:join()
  drop()
end

function scenarios.map(s)
  local list = eddy.map({ 3, 1, 2 }, function(value, index)
    local _ <close> = s.guard()
    eddy.sleep(value)
    return value * index
  end, { limit = 2 })
  assert(list[1] == 3 and list[2] == 2 and list[3] == 6)
end

function scenarios.map_fails(s)
  local ok = pcall(eddy.map, { 1, 2, 3 }, function(value)
    local _ <close> = s.guard()
    eddy.sleep(value)
    if value == 2 then error("planned", 0) end
  end)
  assert(not ok)
end

function scenarios.each(s)
  local n = 0
  eddy.each(eddy.gen(function(emit)
    local _ <close> = s.guard()
    for i = 1, 4 do
      eddy.sleep(1)
      emit(i)
    end
  end), function()
    local _ <close> = s.guard()
    eddy.sleep(2)
    n = n + 1
  end, { limit = 2 })
  assert(n == 4)
end

function scenarios.as_completed(s)
  local order = {}
  for index, ok, value in eddy.as_completed {
    function() local _ <close> = s.guard() eddy.sleep(3) return "a" end,
    function() local _ <close> = s.guard() eddy.sleep(1) error("planned", 0) end,
    function() local _ <close> = s.guard() eddy.sleep(2) return "c" end,
  } do
    order[#order + 1] = index
    assert(ok or value)
    eddy.sleep(0.5)
  end
  assert(#order == 3)
end

function scenarios.as_completed_left(s)
  for _ in eddy.as_completed {
    function() local _ <close> = s.guard() eddy.sleep(1) end,
    function() local _ <close> = s.guard() eddy.sleep(9) end,
  } do
    if s then break end
  end
end

function scenarios.every(s)
  local _ <close> = s.guard()
  for n in eddy.every(1) do
    eddy.sleep(0.5)
    if n >= 3 then break end
  end
end

function scenarios.defer(s)
  local _ <close> = eddy.defer(function()
    local _ <close> = s.guard()
    eddy.sleep(1)
    eddy.spawn(eddy.sleep, 1):await()
  end)
  eddy.within(2, function()
    local _ <close> = eddy.defer(function() eddy.sleep(9) end, 1)   -- longer than its grace
    eddy.sleep(5)
  end)
end

function scenarios.future(s)
  local future = eddy.future()
  eddy.group(function(group)
    for _ = 1, 3 do
      group:spawn(function()
        local _ <close> = s.guard()
        local a, b = future:await()
        assert(a == 1 and b == 2)
      end)
    end
    eddy.sleep(1)
    future:set(1, 2)
  end)
end

function scenarios.future_fails(s)
  local future = eddy.future()
  local waiter = eddy.spawn(function() local _ <close> = s.guard() return (pcall(future.await, future)) end)
  eddy.sleep(1)
  future:fail "planned"
  waiter:join()
end

function scenarios.callback(s)
  local called
  local waiter = eddy.spawn(function()
    local _ <close> = s.guard()
    return eddy.await(function(resolve)
      called = resolve
      return function() s.taken_back = true end
    end)
  end)
  eddy.sleep(1)
  if called then called "value" end
  waiter:join()
end

function scenarios.members_that_say_when_they_are_ready(s)
  eddy.group(function(group)
    local port = group:start(function(ready)
      local _ <close> = s.guard()
      eddy.sleep(1)
      ready(80)
      eddy.sleep(3)
    end)
    assert(port == 80)
    pcall(group.start, group, function()
      local _ <close> = s.guard()
      eddy.sleep(1)
      error("planned", 0)
    end)
  end)
end

function scenarios.awaited_at_once(s)
  for _ = 1, 3 do
    local task = eddy.spawn(function() local _ <close> = s.guard() return eddy.sleep(0) end)
    task:await()
    assert(eddy.spawn(function() local _ <close> = s.guard() return 1 end):await() == 1)
  end
end

-- No script has the tasks of these calls in hand; one that is cancelled before it runs leaves a hole.
for _, name in ipairs { "map", "map_fails", "each" } do
  scenarios[name] = { run = scenarios[name], has_hidden_tasks = true }
end

return scenarios
