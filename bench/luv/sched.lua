-- SPDX-License-Identifier: MIT
-- Coroutines over luv, as small as is useful: what a script has to bring along by itself. Ready
-- coroutines run in batches, one batch a turn of the loop, from an idle handle.
local uv = require "luv"

local sched = {}

local resume, yield, running = coroutine.resume, coroutine.yield, coroutine.running
local idle, idling = uv.new_idle(), false
local ready, count, other = {}, 0, {}

--- Continue `co` now.
local function continue(co, ...)
  local ok, err = resume(co, ...)
  if not ok then
    io.stderr:write(debug.traceback(co, tostring(err)), "\n")
    os.exit(1)
  end
end
sched.continue = continue

local function run_batch()
  local batch, n = ready, count
  ready, count, other = other, 0, batch
  for i = 1, n do
    local co = batch[i]
    batch[i] = nil
    continue(co)
  end
  if count == 0 then
    idling = false
    idle:stop()
  end
end

--- Let `co` continue in the next turn.
local function wake(co)
  count = count + 1
  ready[count] = co
  if not idling then
    idling = true
    idle:start(run_batch)
  end
end
sched.wake = wake

function sched.pause()
  wake(running())
  yield()
end

function sched.sleep(seconds)
  local timer, co = uv.new_timer(), running()
  timer:start(seconds * 1e3 // 1 | 0, 0, function()
    timer:close()
    continue(co)
  end)
  yield()
end

local Task = {}
Task.__index = Task

--- Start `fn(...)` at once, as scripts over luv do.
function sched.spawn(fn, ...)
  local task = setmetatable({ done = false, waiter = false }, Task)
  continue(coroutine.create(function(...)
    task.result = fn(...)
    task.done = true
    if task.waiter then wake(task.waiter) end
  end), ...)
  return task
end

function Task:await()
  if not self.done then
    self.waiter = running()
    yield()
  end
  return self.result
end

function sched.gather(list)
  local results, waiter, left = { n = #list }, nil, #list
  for i = 1, #list do
    continue(coroutine.create(function()
      results[i] = list[i]()
      left = left - 1
      if left == 0 and waiter then wake(waiter) end
    end))
  end
  if left > 0 then
    waiter = running()
    yield()
  end
  return results
end

local spare_timers = {} -- a closed handle is freed by a turn of the loop only, so keep them

local function finish_timeout(timer, ok, ...)
  timer:stop()
  spare_timers[#spare_timers + 1] = timer
  if not ok then error((...), 0) end
  return ...
end

--- A deadline; that it can interrupt nothing in here keeps it short.
function sched.timeout(seconds, fn, ...)
  local timer = table.remove(spare_timers) or uv.new_timer()
  timer:start(seconds * 1e3 // 1 | 0, 0, function() error "too late" end)
  return finish_timeout(timer, pcall(fn, ...))
end

--- Run `fn` as a coroutine, and the loop until nothing is left to do.
function sched.run(fn)
  wake(coroutine.create(fn))
  uv.run()
end

return sched
