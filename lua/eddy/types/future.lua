---@meta
-- SPDX-License-Identifier: MIT
--
-- What csrc/sync/{future,callback,start}.c give to scripts, for editors and the language server. Nothing
-- loads this file.
-- luacheck: ignore 212 241 (declarations have no bodies)

---@class eddy
local eddy = {}

--- A place for values, or an error, that will be there later. Set once, by any task, coroutine or
--- callback; read any number of times. Outlives runs.
---@class eddy.Future
local Future = {}

---@return eddy.Future
function eddy.future() end

--- Set it, with any number of values, and wake all who wait, in order. Does not wait. Raises if it was
--- set or failed before.
---@param ... any
function Future:set(...) end

--- Let it fail: every `await` raises `err`, the same value. Does not wait. Raises if it was set or failed
--- before.
---@param err any
function Future:fail(err) end

--- Wait until it is set; at once, and any number of times, when it is. Raises what it failed with.
--- Cancelling leaves no trace. Tasks that only wait for futures are a deadlock.
---@async
---@return any ...
function Future:await() end

--- Was it set, or did it fail?
---@return boolean
function Future:is_set() end

--- Make a wait of a callback: `eddy.await(function(resolve, reject) … return canceller end)`.
---
--- `fn` runs at once in the calling task and may not wait. `resolve(...)` ends the wait with these values,
--- `reject(err)` by raising `err`, the same value; both may be called at once or later, from any task,
--- coroutine, finalizer, or callback of a library that shares the loop, and only mark and wake. They return
--- true if theirs was the first answer. A second one returns false and is reported to `on_error` once, with
--- code `"settled"`; one that comes after the wait was cancelled returns false silently.
---
--- What `fn` raises is raised. The canceller runs once if the wait is left without an answer: when the task
--- is cancelled (before it sees the cancellation) or killed, or when resolve and reject were both collected,
--- which raises an error of kind `"closed"`, code `"abandoned"`. It cannot wait; its error goes to `on_error`.
---
--- A run in which nothing else could happen is a deadlock in spite of such a wait, unless the loop holds a
--- handle of another library that could still call back.
---@async
---@param fn fun(resolve: (fun(...: any): boolean), reject: (fun(err: any): boolean)): function?
---@return any ...  what `resolve` got
function eddy.await(fn) end

---@class eddy.Group
local Group = {}

--- Spawn `fn(ready, ...)` into the group and wait until it calls `ready(...)`. From then on it is a member
--- like the others. Before that its failure is raised here, the same value, and leaves the group alone; if
--- it returns without `ready`, that raises. A second `ready` raises in who calls it. Cancelling the wait
--- cancels the new member and waits for its end.
---@async
---@param fn fun(ready: fun(...: any), ...: any)
---@param ... any
---@return any ...  what `ready` was called with
function Group:start(fn, ...) end
