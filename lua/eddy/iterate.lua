-- SPDX-License-Identifier: MIT
--
-- Loops over things that take time: ticks, tasks as they end, a function over many values at once.
-- Owns no task beyond its calls: what is started here has ended when the loop or the call is left,
-- also by `break`, by an error or by a cancellation. Memory does not grow with the number of
-- elements of `each`: a task is spawned when there is room for it, not before.

local core = require "eddy.core"
local misuse = require "eddy.misuse"

local iterate = {}

local now, sleep_until, checkpoint = core.now, core.sleep_until, core.checkpoint
local floor, max = math.floor, math.max

-- ---- every -------------------------------------------------------------------------------------

--- An iterator that ticks every `seconds`, counted from this call: the first tick comes after one
--- period, and a slow body does not shift the later ones. Ticks that were missed are skipped, not
--- made up for; a late one comes at once. Each step awaits; cancelling it raises in the loop.
---@param seconds number      at least a nanosecond
---@return fun(): integer n   the number of periods that have passed since the call
function iterate.every(seconds)
  misuse.check_number("every", 1, seconds)
  if seconds <= 0 or seconds ~= seconds then error("bad argument #1 to 'every' (must be above 0)", 2) end
  if seconds < 1e-9 then error("bad argument #1 to 'every' (must be at least a nanosecond)", 2) end
  local start, n = now(), 0
  return function()
    n = max(n + 1, floor((now() - start) / seconds))
    sleep_until(start + n * seconds)
    return n
  end
end

-- ---- as_completed ------------------------------------------------------------------------------

--- What a loop over `as_completed` holds: leaving the loop cancels the members that still run and
--- waits for their end. Cancellation does not cut that wait short.
local Members = { __name = "eddy.Members" }
Members.__index = Members

local function drain(ends)
  repeat until not ends:next()
end

--- Cancel the members that have not ended and await them. Can be repeated.
---@async
function Members:close()
  if self.is_closed_ then return end
  self.is_closed_ = true
  for _, task in ipairs(self.tasks_) do task:cancel() end
  if core.awaitable() then core.shield(math.huge, drain, self.ends_) end
end

Members.__close = Members.close

local function spawn_all(list, n)
  local tasks = {}
  for i = 1, n do
    local member = list[i]
    tasks[i] = misuse.is_task(member) and member or core.spawn(member)
  end
  return tasks
end

--- The call's own copy of the list; nothing is started unless all of it is right.
local function check_members(list)
  misuse.check_table("as_completed", 1, list, 4)
  local members, n = {}, #list
  for i = 1, n do
    local member = list[i]
    if not (misuse.is_task(member) or misuse.is_callable(member)) then
      error(("bad argument #1 to 'as_completed' (member %d: function or Task expected, got %s)"):format(i, type(member)), 3)
    end
    if member == core.current() then error("task cannot await itself", 3) end
    members[i] = member
  end
  return members, n
end

--- Iterate over tasks in the order in which they end: `for index, ok, value in eddy.as_completed(list)`.
--- Functions are spawned into the innermost block at once. `value` is the first result, or the error
--- when `ok` is false: a member's failure is told here and nowhere else. Each step awaits; leaving the
--- loop early, by an error or a cancellation as well, cancels the members that are left, also those
--- that were given as tasks, and waits until they have ended. What they fail with then is dropped, as
--- `race` does with its losers.
--- (Lua 5.4.4 itself forgets to close a loop left by `break` when a function captures a variable of the
--- loop's body; `return`, `goto`, and variables declared outside of the body are not affected.)
---@param list (function|eddy.Task)[]
---@return fun(): integer?, boolean?, any
---@return nil
---@return nil
---@return table closing
function iterate.as_completed(list)
  local members, n = check_members(list)
  if core.current() == nil then misuse.check_awaitable() end
  local tasks = spawn_all(members, n)
  local ends = core.completions(tasks)
  local closing = setmetatable({ tasks_ = tasks, ends_ = ends }, Members)
  return function() return ends:next() end, nil, nil, closing
end

-- ---- map, each ---------------------------------------------------------------------------------

local function check_limit(name, options)
  if options == nil then return math.huge end
  misuse.check_table(name, 3, options, 4)
  for key in pairs(options) do
    if key ~= "limit" then error(("%s: unknown option '%s'"):format(name, tostring(key)), 3) end
  end
  local limit = options.limit
  if limit == nil or limit == math.huge then return math.huge end
  if math.type(limit) == nil or limit < 1 or limit ~= floor(limit) then
    error(("%s: option 'limit' must be a whole number of at least 1"):format(name), 3)
  end
  return limit
end

--- Run `fn` in a block of its own: its children have ended when it returns.
local function run_joined(fn, ...)
  return core.timeout(nil, fn, ...)
end

--- Places for at most `limit` members of `group` at a time. `start(...)` spawns `work(...)`;
--- `wait_for_place()` awaits until one more could start. A member that somebody cancels alone is no
--- failure to the group, but to us: `lost.err` is what it ended with.
local function new_crew(group, limit, work, lost)
  local busy, room = 0, core.event()
  local place = setmetatable({}, { __close = function(_, err)
    busy = busy - 1
    room:set()
    if err == nil then return end
    if lost.err == nil then lost.err = err end
    group:cancel()
  end })
  local function in_place(...)
    local _ <close> = place
    work(...)
  end
  local function start(...)
    busy = busy + 1
    group:spawn(in_place, ...)
  end
  local function wait_for_place()
    checkpoint()
    while busy >= limit do
      room:clear()
      room:wait()
    end
  end
  return start, wait_for_place
end

--- Call `body(group, lost)` in a group; raise what a member was lost by, if the group did not.
local function in_group(body)
  local lost = {}
  core.group(function(group) body(group, lost) end)
  if lost.err ~= nil then error(lost.err, 0) end
end

--- How many elements: a list that knows (`n`, as the lists of gather and map do) may hold nils.
local function check_length(name, list)
  local n = list.n
  if type(n) ~= "number" then return #list end
  n = math.tointeger(n)
  if n and n >= 0 then return n end
  error(("bad argument #1 to '%s' (its 'n' must be a whole number of at least 0)"):format(name), 3)
end

local next_index = ipairs {}
local PIECE = 4096   -- elements copied at a time

--- A list that says it is far longer than it is takes no longer to copy, unless its metatable can
--- make elements: then others have their turns meanwhile.
local function copy(list, n)
  local values, is_plain = {}, getmetatable(list) == nil
  local length = is_plain and math.min(n, #list) or n
  for from = 1, length, PIECE do
    table.move(list, from, math.min(from + PIECE - 1, length), from, values)
    if not is_plain then checkpoint() end
  end
  if length == n then return values end
  for key, value in next, list do
    if math.type(key) == "integer" and key > length and key <= n then values[key] = value end
  end
  return values
end

--- Call `fn(value, index)` for each element in a task of its own, at most `limit` at a time, and
--- collect the first results. Awaits until all have ended. The first failure cancels the rest and is
--- raised when they have ended; several failures are raised as an ErrorGroup. Cancelling cancels all
--- calls and waits for their end.
---@async
---@param list any[]             its `n`, if it has one, counts; else its length
---@param fn fun(value: any, index: integer): any
---@param options? {limit: integer?}  default: all at once
---@return table results         in the order of `list`, with `n`
function iterate.map(list, fn, options)
  misuse.check_table("map", 1, list)
  misuse.check_callable("map", 2, fn)
  local limit, n = check_limit("map", options), check_length("map", list)
  misuse.check_awaitable()
  checkpoint()
  local values, results = copy(list, n), { n = n }
  in_group(function(group, lost)
    local start, wait_for_place = new_crew(group, limit, function(index)
      local value = values[index]
      values[index] = nil
      results[index] = run_joined(fn, value, index)
    end, lost)
    for index = 1, n do
      wait_for_place()
      start(index)
    end
  end)
  return results
end

--- Call `fn(...)` in a task of its own for each step of an iterator, with all values of the step, at
--- most `limit` at a time. No step is taken before there is room for its call. The iterator may await;
--- a generator of `eddy.gen` is closed when the call is left. Awaits until all have ended. The first
--- failure, the iterator's own included, cancels the rest and is raised when they have ended; several
--- are raised as an ErrorGroup. Cancelling cancels all calls and waits for their end.
---@async
---@param iter fun(): any, ...   the function of a generic `for`, which needs no state: `queue:iter()`
---@param fn fun(...: any)
---@param options? {limit: integer?}  default: as many as there are steps
function iterate.each(iter, fn, options)
  if not misuse.is_callable(iter) then
    error(("bad argument #1 to 'each' (an iterator function expected, got %s; eddy.map takes lists)")
      :format(type(iter)), 2)
  end
  if iter == next or iter == next_index then   -- `each(pairs(t), fn)`: of three values only the first comes here
    error("bad argument #1 to 'each' (the iterators of 'pairs' and 'ipairs' need their table; eddy.map takes lists)", 2)
  end
  misuse.check_callable("each", 2, fn)
  local limit = check_limit("each", options)
  misuse.check_awaitable()
  in_group(function(group, lost)
    local _ <close> = iterate.closing_value(iter)
    local start, wait_for_place = new_crew(group, limit, function(...) run_joined(fn, ...) end, lost)
    local control
    local function take(...)
      control = ...
      if control == nil then return false end
      start(...)
      return true
    end
    repeat wait_for_place() until not take(iter(nil, control))
  end)
end

--- What must be closed when a loop over `iter` is left. Filled in by eddy.gen, which knows its own.
function iterate.closing_value(_iter) return nil end

return iterate
