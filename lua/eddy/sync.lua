-- SPDX-License-Identifier: MIT
--
-- Synchronisation, the part that is policy: forms that run a function, iteration, waiting for a
-- predicate. The objects themselves are C (eddy.core); what is here is added to their methods.

local core = require "eddy.core"
local pool = require "eddy.pool"

local sync = {}

for _, name in ipairs {
  "semaphore", "lock", "event", "condition", "barrier", "queue", "select", "ratelimit",
} do
  sync[name] = core[name]
end

sync.pool = pool.new

local Semaphore = core.methods(core.semaphore(1))
local Lock = core.methods(core.lock())
local Condition = core.methods(core.condition())
local Queue = core.methods(core.queue(1))

function Semaphore:with(fn, ...)
  local _ <close> = self:acquire()
  return fn(...)
end

function Lock:with(fn, ...)
  local _ <close> = self:acquire()
  return fn(...)
end

function Condition:wait_for(pred)
  core.condition_check(self)
  core.checkpoint()
  local value = pred()
  while not value do
    self:wait()
    value = pred()
  end
  return value
end

function Queue:iter()
  return function() return (self:get()) end
end

return sync
