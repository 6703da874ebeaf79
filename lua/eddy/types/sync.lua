---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- What tasks use to wait for each other, for editors and the language server: declarations of csrc/sync
-- and of lua/eddy/sync.lua and pool.lua. Nothing loads this file.
-- luacheck: ignore 212 241 (declarations have no bodies)
--
-- Said once for all of them. Objects are made anywhere and outlive runs. What may wait is marked `async`,
-- raises where waiting is impossible, before anything has happened, and raises the cancellation of a
-- block around the task. What was handed to a task before it was cancelled is delivered all the same; the
-- next wait then raises. What was handed to a task that is killed goes to the next one. Waiters are served
-- in the order of their arrival. Wrong arguments raise.

---@class eddy
local eddy = {}

-- ---- Semaphores ----

---@class eddy.Semaphore
local Semaphore = {}

---@class eddy.Permit
local Permit = {}

---A semaphore with `n` permits. A released permit is handed to whoever has waited longest and is never free in
---between.
---@param n integer     permits at the start; 0 is allowed
---@param max? integer  never more than so many; none: no bound
---@return eddy.Semaphore
function eddy.semaphore(n, max) end

---Wait for `k` permits. A waiter that wants many is not overtaken by one that wants few. Does not suspend when they
---are free and nobody waits. Cancelled in the queue: it has taken nothing.
---@async
---@param k? integer  default 1; above `max` or below 1 raises
---@return eddy.Permit permit  `<close>`
function Semaphore:acquire(k) end

---`k` permits if they are free and nobody waits.
---@param k? integer  default 1
---@return eddy.Permit? permit  `<close>`
function Semaphore:try_acquire(k) end

---Add permits without a permit object. Above `max` raises and adds none.
---@param k? integer  default 1
function Semaphore:release(k) end

---@return integer n  permits that are free
function Semaphore:available() end

---@return integer n  tasks that wait for a permit
function Semaphore:waiting() end

---Run `fn` while holding one permit, which is given back however `fn` ends.
---@async
---@param fn function
---@param ... any  its arguments
---@return any ...  its results
function Semaphore:with(fn, ...) end

---Give it back. By any task, or outside of one.
---@return boolean released  false: it had been released before
function Permit:release() end

-- ---- Locks ----

---@class eddy.Lock
local Lock = {}

---@class eddy.Guard
local Guard = {}

---A lock that belongs to the task that acquired it. The task's end releases it; because what it guarded may be half
---done, the next acquire then raises an error of kind "closed" and code "abandoned" that names the task, once.
---@return eddy.Lock
function eddy.lock() end

---Wait for the lock. Raises at once when this task holds it already, and the abandonment, see `eddy.lock`. Cancelled in
---the queue: it has taken nothing.
---@async
---@return eddy.Guard guard  `<close>`
function Lock:acquire() end

---The lock if it is free. Only in a task; raises as `acquire` does.
---@return eddy.Guard? guard  `<close>`
function Lock:try_acquire() end

---@return boolean  does any task hold it?
function Lock:locked() end

---Run `fn` while holding the lock, which is released however `fn` ends.
---@async
---@param fn function
---@param ... any  its arguments
---@return any ...  its results
function Lock:with(fn, ...) end

---Release the lock. Raises in any task but the owner.
---@return boolean released  false: this guard had been released before, or its task had ended
function Guard:release() end

-- ---- Events ----

---@class eddy.Event
local Event = {}

---A flag that tasks can wait for.
---@return eddy.Event
function eddy.event() end

---Set it and wake all who wait at this moment, also if it is cleared right after. Idempotent.
function Event:set() end

---Those who wait from now on wait for the next `set`.
function Event:clear() end

---@return boolean
function Event:is_set() end

---Wait until it is set; does not suspend when it is. Cancelling leaves no trace.
---@async
---@return true
function Event:wait() end

-- ---- Conditions ----

---@class eddy.Condition
---@field lock eddy.Lock  what must be held to wait and to notify
local Condition = {}

---Waiting for what a lock guards to change. Whoever changes it notifies, with the lock held.
---@param lock? eddy.Lock  default: a new one
---@return eddy.Condition
function eddy.condition(lock) end

---Give the lock up, wait for a notification, and take the lock again. The lock is held when this returns and when it
---raises: a cancelled waiter waits for it first, and its notification, if it had one, goes to the next waiter. The guard
---stays valid. Raises when the lock is not held by this task.
---@async
---@return true
function Condition:wait() end

---Wait until `pred` says so: it is called at once and after each notification, with the lock held. What it raises is
---raised, with the lock held.
---@async
---@generic T
---@param pred fun(): T
---@return T value  the first true value of `pred`
function Condition:wait_for(pred) end

---Wake the `n` that have waited longest. They run when the lock is free. Raises when the lock is not held by this task.
---@param n? integer  default 1
function Condition:notify(n) end

---Wake all who wait.
function Condition:notify_all() end

-- ---- Barriers ----

---@class eddy.Barrier
local Barrier = {}

---A place where `n` tasks meet. When the last one is there all go on, and the barrier is as new.
---@param n integer  1 or more
---@return eddy.Barrier
function eddy.barrier(n) end

---Wait for `n` arrivals. Raises an error of kind "closed" and code "broken" when the barrier is aborted or reset
---meanwhile, or had been aborted. Cancelled: it does not count as having arrived.
---@async
---@return integer index  1..n, in the order of arrival
function Barrier:wait() end

---Those who wait, and who come until `reset`, get the error.
function Barrier:abort() end

---Those who wait get the error; the barrier is as new.
function Barrier:reset() end

-- ---- Queues ----

---@class eddy.Queue<T>
local Queue = {}

---@class eddy.QueueOptions
---@field order? "fifo"|"lifo"|"priority"  default "fifo"

---A queue of items; nil is none, `false` is. With order "priority" the smallest number comes out first, equal ones in the
---order of their arrival.
---@param max? integer  0: each item waits for a taker; none: unbounded
---@param options? eddy.QueueOptions
---@return eddy.Queue
function eddy.queue(max, options) end

---Put an item in, waiting for room. Blocked putters are served in the order of their arrival, whatever the order of the
---items. Cancelled while it waits: the item is not in the queue.
---@async
---@param item any           not nil
---@param priority? number   only with order "priority"; default 0; not NaN
---@return true? ok
---@return eddy.Error? err   kind "closed": the queue is closed, the item is not in it
function Queue:put(item, priority) end

---Take the next item, waiting for one.
---@async
---@return any item
---@return eddy.Error? err  kind "closed": closed and drained
function Queue:get() end

---Put an item in if there is room or a taker.
---@param item any           not nil
---@param priority? number   as for `put`
---@return boolean? ok       false: the queue is full
---@return eddy.Error? err   kind "closed"
function Queue:try_put(item, priority) end

---Take the next item if there is one.
---@return any item         nil: the queue is empty
---@return eddy.Error? err  kind "closed": closed and drained
function Queue:try_get() end

---Accept no more. Blocked putters get their error and keep their items; what is in the queue can still be taken. Can be
---repeated.
---@param discard? boolean  drop what is in the queue
---@return any[]? dropped   with `discard`: the items, oldest first
function Queue:close(discard) end

---Iterate over the items until the queue is closed and drained; each step waits. `break` leaves the rest.
---@return fun(): any
function Queue:iter() end

---@return integer n  items that lie in the queue
function Queue:size() end

---An item that was taken is dealt with. Raises when called more often than items were put.
function Queue:task_done() end

---Wait until each item that was put was followed by `task_done`. Cancelling has no effect on the count.
---@async
---@return true
function Queue:join() end

-- ---- select ----

---@class eddy.SelectList
---@field timeout? number  seconds
---@field [integer] eddy.Queue|eddy.Event|eddy.Task|eddy.Future

---Wait for the first of several objects that has something, and take it from that one only: at once from the lowest
---index that is ready, else from whoever has something first. In a queue it waits in line like any other getter.
---Cancelled: nothing was taken. An empty list without `timeout` raises.
---@async
---@param list eddy.SelectList
---@return integer? index   nil: the time is over
---@return any value        of a queue the item, nil once it is closed and drained; of an event, task or future true
---@return eddy.Error? err  kind "closed", of a closed queue
function eddy.select(list) end

-- ---- Rate limits ----

---@class eddy.RateLimit
local RateLimit = {}

---A bucket of `burst` tokens, full at the start, into which `n` tokens flow every `seconds`, evenly and without drift.
---@param n integer       1 or more
---@param seconds number  above 0
---@param burst? integer  default `n`
---@return eddy.RateLimit
function eddy.ratelimit(n, seconds, burst) end

---Wait for a token and take it. Cancelled in line: no token was taken.
---@async
---@return true
function RateLimit:acquire() end

-- ---- Pools ----

---@class eddy.Pool
local Pool = {}

---@class eddy.Slot
---@field value any  what was opened; nil once given back
local Slot = {}

---@class eddy.PoolOptions
---@field open fun(): any, any        opens one; may wait; nil and an error, or raising, is passed on by `get`
---@field close? fun(value: any)      closes one; may wait, for 5 s at most when its task is cancelled; what it raises goes to `on_error`
---@field check? fun(value: any): any asked before an idle one goes out; may wait; a false answer, or raising, closes it
---@field max? integer                never more than so many, idle ones and those being opened or closed included; default: unbounded
---@field idle? number                seconds after which an idle one is closed
---@field lifetime? number            seconds after which one is not given out again

---@class eddy.PoolStats
---@field open integer     that exist: idle and busy
---@field idle integer
---@field busy integer     that are out
---@field waiting integer  tasks that wait for a place

---A pool of what is dear to open. The one that came back last goes out first. Idle ones grow old by a background task, which
---lives as long as there are any. Let `open` start tasks with `eddy.background`: the block that they would belong to ends with
---`get`. Closing the pool is the owner's business: also by a `<close>` variable.
---@param options eddy.PoolOptions
---@return eddy.Pool
function eddy.pool(options) end

---@class eddy.PoolGetOptions
---@field timeout? number  seconds for all of it: waiting, checking, opening

---Get one, waiting for a place. Cancelled or killed at any point, the place comes back, and what was opened is closed.
---@async
---@param options? eddy.PoolGetOptions
---@return eddy.Slot? slot  `<close>`: gives it back
---@return any err          kind "timeout", kind "closed", or what `open` said
function Pool:get(options) end

---@return eddy.PoolStats
function Pool:stats() end

---Close what is idle, and what is out when it comes back. Those who wait get `nil, err` of kind "closed". Can be repeated.
---Waits only if `close` of the pool does.
function Pool:close() end

---Give it back to the pool. Waits only if it is closed now (too old, or the pool is closed) and `close` of the pool waits.
---@return boolean released  false: it had been given back before
function Slot:release() end

---Close it instead of giving it back: it may be broken.
---@return boolean released  false: it had been given back before
function Slot:discard() end

return eddy
