-- SPDX-License-Identifier: MIT
-- Scenarios of synchronisation: nothing is lost whoever is taken away. See spec/sweep/run.lua.
local eddy = require "eddy"

local scenarios = {}

scenarios.semaphore = {
  run = function(s)
    s.semaphore, s.held = eddy.semaphore(2), 0
    eddy.group(function(group)
      for i = 1, 5 do
        group:spawn(function()
          local _ <close> = s.semaphore:acquire(1 + i % 2)
          local _ <close> = s.guard()
          eddy.sleep(1)
        end)
      end
    end)
  end,
  check = function(s) assert(not s.semaphore or s.semaphore:available() == 2, "permits were lost") end,
}

scenarios.semaphore_with_deadline = {
  run = function(s)
    s.semaphore = eddy.semaphore(1, 1)
    eddy.gather(
      function() s.semaphore:with(eddy.sleep, 3) end,
      function() eddy.within(1, function() s.semaphore:with(eddy.sleep, 1) end) end,
      function() eddy.within(4, function() s.semaphore:with(eddy.sleep, 1) end) end)
  end,
  check = function(s) assert(not s.semaphore or s.semaphore:available() == 1, "permits were lost") end,
}

function scenarios.event(s)
  local event = eddy.event()
  eddy.group(function(group)
    for _ = 1, 3 do
      group:spawn(function()
        local _ <close> = s.guard()
        eddy.within(3, event.wait, event)
      end)
    end
    eddy.sleep(1)
    event:set()
    event:clear()
    group:spawn(function() eddy.within(1, event.wait, event) end)
  end)
end

-- Producers and consumers over any kind of queue: what was put and not taken is still in it.
local function through_queue(max, n)
  return {
    run = function(s)
      local queue = eddy.queue(max)
      s.queue, s.put, s.got = queue, {}, { false, false, false, false, false, false }   -- room, also without memory
      eddy.group(function(group)
        group:spawn(function()
          for i = 1, n do
            if queue:put(i) then s.put[i] = true end
          end
          queue:close()
        end)
        for _ = 1, 2 do
          group:spawn(function()
            for item in queue:iter() do
              assert(not s.got[item], "an item came twice")
              s.got[item] = true
              local _ <close> = s.guard()
              eddy.sleep(1)
            end
          end)
        end
      end)
    end,
    check = function(s)
      if not s.queue then return end
      local item = s.queue:try_get()
      while item do
        assert(not s.got[item], "an item was taken and is still there")
        s.got[item] = true
        item = s.queue:try_get()
      end
      for i in pairs(s.put) do assert(s.got[i], "an item was lost") end
    end,
  }
end

scenarios.queue_without_bound = through_queue(nil, 5)
scenarios.queue_with_bound = through_queue(2, 6)
scenarios.queue_rendezvous = through_queue(0, 4)

function scenarios.queue_join(s)
  local queue = eddy.queue()
  eddy.group(function(group)
    local worker = group:spawn(function()
      for _ in queue:iter() do
        local _ <close> = s.guard()
        eddy.sleep(1)
        queue:task_done()
      end
    end)
    for i = 1, 3 do queue:put(i) end
    eddy.within(10, queue.join, queue)
    queue:close(true)
    worker:join()
  end)
end

function scenarios.queue_closed_under_waiters(s)
  local full, empty = eddy.queue(1), eddy.queue()
  full:put "first"
  eddy.group(function(group)
    for _ = 1, 2 do
      group:spawn(function() local _ <close> = s.guard() full:put "second" end)
      group:spawn(function() local _ <close> = s.guard() empty:get() end)
    end
    eddy.sleep(1)
    full:close()
    empty:close()
  end)
end

function scenarios.work_that_fails_in_a_pool_of_workers(s)
  local jobs, semaphore = eddy.queue(2), eddy.semaphore(2)
  local ok = pcall(eddy.group, function(group)
    for _ = 1, 3 do
      group:spawn(function()
        for job in jobs:iter() do
          local _ <close> = semaphore:acquire()
          local _ <close> = s.guard()
          eddy.sleep(1)
          if job == 4 then error("planned", 0) end
        end
      end)
    end
    for i = 1, 8 do jobs:put(i) end
    jobs:close()
  end)
  assert(ok ~= nil)
end

return scenarios
