-- SPDX-License-Identifier: MIT
--
-- Synchronisation, the part that is policy: forms that run a function, iteration, waiting for a
-- predicate. The objects themselves are C (eddy.core); what is here is added to their methods.

local core = require "eddy.core"
local misuse = require "eddy.misuse"
local pool = require "eddy.pool"

local sync = {}

for _, name in ipairs {
  "semaphore", "lock", "event", "condition", "barrier", "queue", "select", "ratelimit",
} do
  sync[name] = core[name]
end

sync.pool = pool.new

local function class_of(object) return debug.getmetatable(object), core.methods(object) end

local semaphore_class, Semaphore = class_of(core.semaphore(1))
local lock_class, Lock = class_of(core.lock())
local condition_class, Condition = class_of(core.condition())
local queue_class, Queue = class_of(core.queue(1))

--- What `acquire` raises is raised where `with` was called.
local function acquire_for_caller(self)
  local ok, held = pcall(self.acquire, self)
  if not ok then error(misuse.without_position(held), 3) end
  return held
end

function Semaphore:with(fn, ...)
  misuse.check_self("with", self, semaphore_class)
  misuse.check_callable("with", 1, fn)
  local _ <close> = acquire_for_caller(self)
  return fn(...)
end

function Lock:with(fn, ...)
  misuse.check_self("with", self, lock_class)
  misuse.check_callable("with", 1, fn)
  local _ <close> = acquire_for_caller(self)
  return fn(...)
end

function Condition:wait_for(pred)
  misuse.check_self("wait_for", self, condition_class)
  misuse.check_callable("wait_for", 1, pred)
  local ok, err = pcall(core.condition_check, self)
  if not ok then error(misuse.without_position(err), 2) end
  misuse.check_awaitable()
  core.checkpoint()
  local value = pred()
  while not value do
    self:wait()
    value = pred()
  end
  return value
end

function Queue:iter()
  misuse.check_self("iter", self, queue_class)
  return function() return (self:get()) end
end

return sync
