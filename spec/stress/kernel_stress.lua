-- SPDX-License-Identifier: MIT
-- Random models of the kernel. By itself: lua spec/stress/kernel_stress.lua [SEEDS [STEPS [SEED]]]: as
-- many seeds as SEEDS says, or the one SEED. A failure names its seed; the same seed repeats it.

local eddy = require "eddy"
local testing = require "eddy.testing"

local stress = {}

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function must(condition, text) if not condition then error(text, 2) end end

-- Items of a queue: none is lost, none is there twice, each producer's come in order.
function stress.queue(random, steps)
  local queue = eddy.queue(random(0, 4))
  local committed, taken, last, in_order = {}, {}, {}, true
  local function take(item)
    if item == nil then return end
    must(not taken[item], "an item came twice")
    taken[item] = true
    if (last[item.from] or 0) >= item.n then in_order = false end
    last[item.from] = item.n
  end
  eddy.group(function(group)
    for from = 1, 4 do
      group:spawn(function()
        for n = 1, steps do
          local item = { from = from, n = n }
          local worker = group:spawn(function() if queue:put(item) then committed[item] = true end end)
          if random(4) == 1 then turns(random(0, 2)) worker:cancel() end
          worker:join()
        end
      end)
    end
    for _ = 1, 3 do
      group:spawn(function()
        local stop = false
        while not stop do
          local worker = group:spawn(function()
            local item, err = queue:get()
            if err then stop = true else take(item) end
          end)
          if random(3) == 1 then turns(random(0, 2)) worker:cancel() end
          worker:join()
        end
      end)
    end
    group:spawn(function() turns(steps * 12) queue:close() end)
  end)
  for item in queue:iter() do take(item) end
  for item in pairs(committed) do must(taken[item], "an item was lost") end
  for item in pairs(taken) do must(committed[item], "an item that was not put") end
  must(in_order, "items of one producer out of order")
end

-- Permits: as many as at first, never more out than there are.
function stress.semaphore(random, steps)
  local total = random(1, 4)
  local semaphore, held = eddy.semaphore(total), 0
  eddy.group(function(group)
    for _ = 1, steps do
      local k = random(1, total)
      local task = group:spawn(function()
        eddy.within(random() * 3, function()
          local _ <close> = semaphore:acquire(k)
          held = held + k
          local _ <close> = setmetatable({}, { __close = function() held = held - k end })
          must(held <= total, "more permits than there are")
          if random(2) == 1 then eddy.sleep(random()) end
        end)
      end)
      if random(3) == 1 then turns(random(0, 2)) task:cancel() end
    end
  end)
  must(held == 0 and semaphore:available() == total, "permits were lost")
end

-- A tree of blocks of all kinds, cancelled in many places: it ends, and nothing is left of it.
function stress.tree(random, steps)
  local budget, opened, closed = steps * 4, 0, 0
  local event, tasks = eddy.event(), {}
  local act
  local function guarded(depth)
    opened = opened + 1
    local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
    act(depth)
  end
  local acts = {
    function() eddy.sleep(random() * 3) end,
    function() eddy.within(random(), event.wait, event) end,
    function(d) eddy.within(random() * 2, guarded, d) end,
    function(d) pcall(eddy.timeout, random() * 2, guarded, d) end,
    function(d) eddy.shield(random(), guarded, d) end,
    function(d) eddy.settle { function() guarded(d) end, function() guarded(d) end } end,
    function(d) pcall(eddy.race, { function() guarded(d) end, function() guarded(d) end }) end,
    function(d) pcall(eddy.any, { function() guarded(d) end, function() error "x" end }) end,
    function(d)
      local group <close> = eddy.group()
      group:spawn(guarded, d)
      guarded(d)
      if random(2) == 1 then group:cancel() end
    end,
    function(d)
      pcall(eddy.group, function(group)
        tasks[#tasks + 1] = group:spawn(guarded, d)
        if random(3) == 1 then error("x", 0) end
        guarded(d)
      end)
    end,
    function() if #tasks > 0 then tasks[random(#tasks)]:cancel() end end,
    function() event:set() event:clear() end,
    function() collectgarbage "step" end,
  }
  function act(depth)
    budget = budget - 1
    if budget > 0 and depth < 8 then acts[random(#acts)](depth + 1) end
  end
  eddy.group(function(group)
    for _ = 1, 20 do
      tasks[#tasks + 1] = group:spawn(function() while budget > 0 do pcall(guarded, 1) turns(1) end end)
    end
    turns(steps)
    group:cancel()
  end)
  must(opened == closed, "a <close> variable was not closed, or twice")
end

-- Generator of our own: the same on every platform, and nobody else draws from it.
local function new_random(seed)
  local state = (seed * 2654435761 + 1) & 0x7fffffff
  local function draw()
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return state >> 8
  end
  return function(low, high)
    if low == nil then return draw() / 0x7fffff end
    if high == nil then low, high = 1, low end
    return low + draw() % (high - low + 1)
  end
end

--- Run one model in a run of its own, with a manual clock; raises what it found, with the seed.
---@param name string
---@param seed integer
---@param steps integer
function stress.try(name, seed, steps)
  eddy.config { on_error = function() end }
  local ok, err = pcall(testing.run, function() stress[name](new_random(seed), steps) end, { timeout = 120 })
  eddy.config { on_error = false }
  if not ok then error(("%s, seed %d, %d steps: %s"):format(name, seed, steps, tostring(err)), 0) end
end

stress.models = { "queue", "semaphore", "tree" }

--- All models with `seeds` seeds from a new one on, or with the one seed that is named.
local function run_all(seeds, steps, only)
  local passed, failed = 0, 0
  local first = only or os.time()
  for seed = first, first + (only and 0 or seeds - 1) do
    for _, name in ipairs(stress.models) do
      local ok, err = pcall(stress.try, name, seed, steps)
      if ok then passed = passed + 1 else failed = failed + 1 print(err) end
    end
  end
  print(("%d passed, %d failed"):format(passed, failed))
  return failed == 0
end

if arg and arg[0] and arg[0]:match "kernel_stress%.lua$" then
  os.exit(run_all(tonumber(arg[1]) or 1, tonumber(arg[2]) or 200, tonumber(arg[3])), true)
end

return stress
