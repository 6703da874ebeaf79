---@meta eddy
-- SPDX-License-Identifier: MIT
-- The kernel as an editor sees it: what is written in C. tools/stubs.lua compares this with the
-- live module, tools/reference.lua makes docs/reference of it.
-- luacheck: ignore 212 241 (declarations have no bodies)

---Async scripting on Lua coroutines: tasks that wait, wherever Lua code runs.
---@class eddy
---@field version string
---@field Error table       metatable of error objects
---@field ErrorGroup table  metatable of error objects for several failures
local eddy = {}

-- ---- Running ----

---Run `fn` as the root task with the loop, until it and all its children have ended. Background tasks are cancelled then.
---Raises what `fn` raised, the same value; several failures as an `eddy.ErrorGroup`; an error of kind "deadlock" when nothing
---can ever run again. Inside a run it raises "already running".
---@param fn function
---@param ... any  its arguments
---@return any ...  its results
function eddy.run(fn, ...) end

---@class eddy.Config
---@field on_error? false|fun(err: any, task: eddy.Task?)  errors that nobody awaits; default: printed
---@field coroutine? boolean  false: leave Lua's coroutine library as it is
---@field clock? false|"real"|"manual"  manual: jumps when every task waits
---@field kill_grace? false|number  seconds in which a task may go on catching its cancellation; default 5
---@field slice? false|number  seconds of Lua without a wait before other tasks get a turn; default: no limit
---@field warn_blocking? false|number  report turns of so many seconds to `on_error` (kind `"limit"`, code `"blocking"`)
---@field seed? false|integer  shuffle the order of ready tasks, the same for the same seed
---@field workers? false|integer  threads for `offload`; default: as many as cores
---@field worker_init? false|function  runs once in each fresh state of a worker
---@field worker_memory? false|number  bytes that the state of a worker may take; default: no bound

---Set options of the runtime. They persist between runs; `false` restores a default. Nothing is changed when one is wrong.
---Raises while a run is on, for unknown names and for wrong values.
---@param options eddy.Config
function eddy.config(options) end

---@class eddy.Stats
---@field tasks integer       that have not ended
---@field operations integer  waits under way
---@field handles integer     open sockets, listeners, timers of the loop
---@field timers integer      sleeps and deadlines
---@field files integer
---@field jobs integer        in the thread pool or with workers
---@field bytes integer       taken by the runtime, besides Lua's own

---Count what lives. All but `bytes` are 0 outside of a run.
---@return eddy.Stats
function eddy.stats() end

---The tree of live tasks, a line each: name, state, what it waits for.
---@param write? fun(text: string)  called with the text instead
---@return string?
function eddy.dump(write) end

-- ---- Tasks ----

---@class eddy.Task
local Task = {}

---Spawn a child of the running task's innermost block. It starts at the spawner's next wait. A failure that nobody awaits
---when it happens cancels that block and is raised by it. Raises outside of a task.
---@param fn function
---@param ... any  its arguments
---@return eddy.Task
function eddy.spawn(fn, ...) end

---@class eddy.SpawnOptions
---@field name? string
---@field slice? number   seconds of Lua without a wait before others get a turn; default: `config.slice`
---@field cpu? number     seconds of CPU time in all its turns, then it is killed
---@field memory? number  bytes of Lua's memory, then it is killed

---As `spawn`, with options. A task that uses more than `cpu` or `memory` fails with an error of kind `"limit"`, code `"cpu"` or
---`"memory"`: it is killed between two instructions of its Lua, and its `<close>` variables run, for a tenth of a second at most.
---`memory` is what Lua's allocator gives out in the task's own turns, less what it gets back in them; where that is too much
---garbage is collected first. What its children use, and what it gives to `background`, is theirs: they have none of its limits.
---@param options eddy.SpawnOptions
---@param fn function
---@param ... any
---@return eddy.Task
function eddy.spawn_with(options, fn, ...) end

---Spawn a task that the runtime owns. It is cancelled when the root task has ended; a failure that nobody awaits goes to
---`config.on_error`. Raises outside of a task.
---@param fn function
---@param ... any
---@return eddy.Task
function eddy.background(fn, ...) end

---The running task; nil outside.
---@return eddy.Task?
function eddy.current() end

---Wait for the task. Raises its error, the same value. Can be repeated. Cancelling the waiter leaves the task alone.
---@async
---@return any ...  its results
function Task:await() end

---Wait for the task without raising its error.
---@async
---@return boolean ok
---@return any ...  its results, or its error
function Task:join() end

---Ask the task to end: its waits raise from now on.
---@param reason? any  becomes `reason` of the cancellation error
---@return boolean first  false if it had been asked before, or has ended
function Task:cancel(reason) end

---@return "ready"|"running"|"waiting"|"done"|"failed"|"cancelled"
function Task:status() end

---@return string
function Task:name() end

---Where the task is; of a failed one where it failed, who awaited it and where these were spawned; "" for one that ended otherwise.
---@return string
function Task:traceback() end

-- ---- Time ----

---Wait at least `seconds`, never less. 0 or less lets every ready task run first; `math.huge` waits for a cancel. Cancelling takes it back.
---@async
---@param seconds number
function eddy.sleep(seconds) end

---Wait until `eddy.now()` is at least `time`.
---@async
---@param time number
function eddy.sleep_until(time) end

---The monotonic clock, in seconds; only differences mean something.
---@return number
function eddy.now() end

-- ---- Blocks ----

---@class eddy.Group
local Group = {}

---A block that ends when all tasks spawned into it have. The first failure cancels the rest and is raised when these have ended.
---Without `fn`: a group for a `<close>` variable, joined where that is closed.
---@async
---@param fn? fun(group: eddy.Group): ...
---@return any ...  results of `fn`, or the group
function eddy.group(fn) end

---Spawn into the group. Raises when it has ended.
---@param fn function
---@param ... any
---@return eddy.Task
function Group:spawn(fn, ...) end

---@param options eddy.SpawnOptions
---@param fn function
---@param ... any
---@return eddy.Task
function Group:spawn_with(options, fn, ...) end

---Spawn and wait until the child calls `ready(...)`. A failure before that is raised here only; returning without `ready`, or
---calling it twice, raises. Cancelled: the child is cancelled and awaited.
---@async
---@param fn fun(ready: fun(...), ...)
---@param ... any
---@return any ...  what `ready` was given
function Group:start(fn, ...) end

---Cancel the members and, in the function form, the body; the block then ends normally. Does nothing once it has ended.
---@param reason? any
function Group:cancel(reason) end

---Call `fn` with a deadline. Past it the block is cancelled; when its clean-up has ended an error of kind "timeout" is raised.
---@async
---@param seconds number?  nil or `math.huge`: none
---@param fn function
---@param ... any
---@return any ...  results of `fn`
function eddy.timeout(seconds, fn, ...) end

---As `timeout`, but answers false instead of raising.
---@async
---@param seconds number?
---@param fn function
---@param ... any
---@return boolean in_time
---@return any ...  results of `fn`
function eddy.within(seconds, fn, ...) end

---Call `fn` with outer cancellations and deadlines kept out, for at most `seconds` from the first of them.
---@async
---@param seconds number  `math.huge`: until `fn` has ended
---@param fn function
---@param ... any
---@return any ...  results of `fn`
function eddy.shield(seconds, fn, ...) end

---The nearest deadline of the blocks around, up to a shield; `math.huge` if there is none.
---@return number time  on the clock of `eddy.now`
function eddy.deadline() end

---Seconds until that deadline; 0 when it is past.
---@return number
function eddy.remaining() end

---Would the next wait raise a cancellation?
---@return boolean
function eddy.cancelled() end

---Call `fn`; any wait inside raises before it has done anything.
---@param fn function
---@param ... any
---@return any ...  results of `fn`
function eddy.atomic(fn, ...) end

-- ---- Several at once ----

---Run members (functions or tasks) at once. The first failure cancels the others and is raised when all have ended.
---@async
---@param ... function|eddy.Task|(function|eddy.Task)[]  members, or one list of them
---@return any ...  first result of each; of a list: a list with `n`
function eddy.gather(...) end

---@class eddy.Settled
---@field ok boolean
---@field value any
---@field err any

---Run members and collect how each ended. Never raises for one.
---@async
---@param list (function|eddy.Task)[]
---@return eddy.Settled[] results  with `n`
function eddy.settle(list) end

---The first member to end; the others are cancelled and awaited. Raises its error if it failed.
---@async
---@param list (function|eddy.Task)[]
---@return any value  its first result
---@return integer index
function eddy.race(list) end

---The first member to succeed; the others are cancelled and awaited. Raises an ErrorGroup if all fail.
---@async
---@param list (function|eddy.Task)[]
---@return any value  its first result
---@return integer index
function eddy.any(list) end

-- ---- Task-local variables ----

---@class eddy.Var
local Var = {}

---A variable with a value of its own in every task. Children see what was bound where they were spawned.
---@param default? any
---@return eddy.Var
function eddy.var(default) end

---@return any
function Var:get() end

---Call `fn` with the variable bound to `value`. May await.
---@param value any
---@param fn function
---@param ... any
---@return any ...  results of `fn`
function Var:with(value, fn, ...) end

-- ---- Errors ----

---Make an error object; the table itself becomes it. `kind` defaults to "error", `code` to the kind.
---@param fields table
---@return eddy.Error
function eddy.error(fields) end

---Is this an error object whose kind or code is `what`? Causes are not looked into.
---@param err any
---@param what string
---@return boolean
function eddy.is(err, what) end

-- ---- Coroutines ----

---Lua's coroutine library with awaits passing through. `eddy.run` puts these functions into the global `coroutine`,
---unless `config{coroutine=false}`. A coroutine that waits is "normal" for others; nobody else can resume or close it.
---@class eddy.Coroutine
eddy.coroutine = {}

---@async
---@param co thread
---@param ... any
---@return boolean ok
---@return any ...
function eddy.coroutine.resume(co, ...) end

---@param fn function
---@return function
function eddy.coroutine.wrap(fn) end

---@async
---@param ... any
---@return any ...
function eddy.coroutine.yield(...) end

---@param co thread
---@return "running"|"suspended"|"normal"|"dead"
function eddy.coroutine.status(co) end

---@param co thread
---@return boolean ok
---@return any err
function eddy.coroutine.close(co) end

return eddy
