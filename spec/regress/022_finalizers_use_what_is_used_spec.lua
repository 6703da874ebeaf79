-- SPDX-License-Identifier: MIT
-- Finalizers run wherever memory is asked for, also in the middle of an acquire or a put: there they may
-- take the last permit, the lock, or the items that were seen a moment before.
local lu = ...
local eddy = require "eddy"

local TestFinalizers = { clock = "manual", leaks = false }

local act   -- what finalizers do, while it is set

--- From now on each request for memory may be followed by a full collection, and a call of `act`.
local function begin(fn)
  act = fn
  local function again()
    if not act then return end
    pcall(act)
    setmetatable({}, { __gc = again })
  end
  collectgarbage("incremental", 1, 400, 30)
  collectgarbage()
  setmetatable({}, { __gc = again })
end

local function stop()
  act = nil
  collectgarbage("incremental", 200, 100, 13)
end

function TestFinalizers:tearDown() stop() end

function TestFinalizers:test_semaphore()
  local semaphore, stolen, thefts = eddy.semaphore(1), nil, 0
  local function steal()
    if stolen then return end
    stolen = semaphore:try_acquire()
    if stolen then thefts = thefts + 1 end
  end
  local function give_back()
    if stolen then stolen:release() end
    stolen = nil
  end
  begin(steal)
  for _ = 1, 60 do
    local permit = semaphore:try_acquire()
    lu.assertEquals(semaphore:available(), 0)   -- one of the two has it
    if permit then permit:release() end
    give_back()
    lu.assertEquals(semaphore:available(), 1)
    eddy.within(1, function()
      local _ <close> = semaphore:acquire()
      lu.assertEquals(semaphore:available(), 0)
    end)
    give_back()
  end
  lu.assertTrue(thefts > 10, thefts)
end

function TestFinalizers:test_lock()
  local lock, stolen, thefts = eddy.lock(), nil, 0
  begin(function()
    if stolen then return end
    stolen = lock:try_acquire()
    if stolen then thefts = thefts + 1 end
  end)
  for i = 1, 60 do
    local ok, guard = pcall(i % 2 == 0 and lock.acquire or lock.try_acquire, lock)
    lu.assertTrue(lock:locked())
    if ok and guard then guard:release() else lu.assertStrContains(tostring(guard), "already held") end
    if stolen then stolen:release() end
    stolen = nil
  end
  stop()
  lu.assertTrue(thefts > 10, thefts)
  lu.assertFalse(lock:locked())
end

local function churn_queue(order)
  local queue = eddy.queue(nil, { order = order })
  local put, got, kept = 0, 0, 0
  local function count(item) if item then got = got + 1 end end
  begin(function()
    if kept % 3 ~= 0 then count(queue:try_get()) else put = put + 1 queue:try_put(put) end
    kept = kept + 1
  end)
  eddy.group(function(group)
    for _ = 1, 40 do group:spawn(function() count(queue:get()) end) end
    eddy.sleep(0)
    for i = 1, 150 do
      put = put + 1
      queue:put(put)
      if i % 7 == 0 then eddy.sleep(0) end
      if i % 5 == 0 then count(select(2, eddy.select { queue, timeout = 0 })) end
    end
    stop()
    queue:close()
  end)
  for _ in queue:iter() do got = got + 1 end
  lu.assertTrue(kept > 30, kept)
  lu.assertEquals(got, put)
end

function TestFinalizers:test_fifo() churn_queue "fifo" end
function TestFinalizers:test_lifo() churn_queue "lifo" end
function TestFinalizers:test_priority() churn_queue "priority" end

-- What a finalizer puts while `close` makes the list belongs to it or is refused; nothing is lost.
function TestFinalizers:test_discard()
  for _, order in ipairs { "fifo", "lifo", "priority" } do
    local queue, put = eddy.queue(nil, { order = order }), 0
    for i = 1, 100 do queue:put(i) end
    begin(function() if queue:try_put(0) then put = put + 1 end end)
    local list = queue:close(true)
    stop()
    lu.assertEquals(#list, 100 + put)
    lu.assertEquals(queue:size(), 0)
  end
end

-- A lock that is collected beside the object whose finalizer takes it: its own finalizer may have run.
function TestFinalizers:test_collected_lock()
  local results = {}
  for _ = 1, 20 do
    local owner = setmetatable({}, { __gc = function(it)
      results[#results + 1] = tostring(select(2, pcall(it.lock.try_acquire, it.lock)))
    end })
    owner.lock = eddy.lock()
  end
  eddy.spawn(function()
    for _ = 1, 5 do
      collectgarbage()
      eddy.sleep(0)
    end
  end):await()
  lu.assertEquals(#results, 20)
  for _, text in ipairs(results) do lu.assertStrContains(text, "being collected") end
end

return { TestFinalizers = TestFinalizers }
