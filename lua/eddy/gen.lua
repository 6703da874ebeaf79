-- SPDX-License-Identifier: MIT
--
-- Generators: a function that emits values, driven by a generic `for`. The producer runs in a coroutine
-- of its own inside whichever task takes the next step, so it may await there and is cancelled with
-- that task. Owns the coroutine until it has ended or the closing value is closed: closing raises in
-- the producer's `emit`, so that its `<close>` variables run in the closing task and may await too.
--
-- One that is neither ended nor closed is closed at the end of the task that made it (that took its
-- first value, if that one is gone): not by the collector, which can only tell when nobody will.
-- Such a task has a set of them (core.ending), with weak keys; what the collector finds is kept in the
-- set's field `left`, and closed before then when the task begins another generator (eddy.gen_left).
--
-- A producer has a protected frame under it (unlike coroutine.create), because Lua runs `<close>`
-- variables of an erring coroutine in a way that lets them await only if something catches the error.

local core = require "eddy.core"
local iterate = require "eddy.iterate"
local misuse = require "eddy.misuse"

local require = require   -- a host may take it away later
local co = core.coroutine
local create, resume, yield, running, status = co.create, co.resume, co.yield, co.running, co.status

local gen = {}

-- How often a producer may catch the closing and emit again before its coroutine is closed the hard way.
local PATIENCE = 256

--- The closing value, and the state: `thread_`; `has_started_`, `is_running_`, `has_ended_`; the error that
--- is to be raised in `problem_`, with the text `trace_`, when `has_failed_`; `stop_`, which `emit` raises once it is there;
--- the task that made it, `maker_`, until it has started; then the set that it is in, `set_`, and its `number_`.
local Generator = { __name = "eddy.Generator" }
Generator.__index = Generator

local closing_values = setmetatable({}, { __mode = "k" })   -- iterator function -> Generator

function iterate.closing_value(iter) return closing_values[iter] end

--- It has ended, or is about to be: there is nothing to close.
local function finish(self)
  self.has_ended_ = true
  if self.set_ then self.set_[self], self.set_ = nil, nil end
end

-- ---- The producer's side -----------------------------------------------------------------------

local function new_emit(self)
  local caught = 0
  return function(...)
    if running() ~= self.thread_ then
      error(self.has_ended_ and "cannot emit after the generator has ended"
        or "cannot emit from another coroutine than the generator's own", 2)
    end
    if (...) == nil then error("cannot emit nil: it would end the loop", 2) end
    if self.stop_ then
      caught = caught + 1
      if caught <= PATIENCE then error(self.stop_, 0) end
    end
    local ok, err = pcall(yield, ...)
    if not ok then error(misuse.without_position(err), 2) end
    if self.stop_ then error(self.stop_, 0) end
  end
end

--- The coroutine's body: no error leaves it.
local function produce(self, fn)
  local ok, err = xpcall(fn, function(err)
    if err ~= self.stop_ then self.trace_ = core.trace(err) end
    return err
  end, new_emit(self))
  finish(self)
  if not ok then self.has_failed_, self.problem_ = true, err end
end

-- ---- The consumer's side -----------------------------------------------------------------------

local function raise_problem(self)
  local problem, trace = self.problem_, self.trace_
  self.has_failed_, self.problem_, self.trace_ = false, nil, nil
  core.raise(problem, trace)
end

--- What a step gives, once it is back.
local function deliver(self, ok, ...)
  self.is_running_ = false
  if ok and not self.has_ended_ then return ... end
  finish(self)
  if not ok then error((...), 0) end   -- the coroutine could not even run its own frame
  if self.has_failed_ then raise_problem(self) end
end

local begin   -- see below

local function step(self)
  if self.has_ended_ then return nil end
  if self.is_running_ then
    if status(self.thread_) == "dead" then return nil end   -- killed with the task that was stepping it
    error("the generator is already running: somebody else waits for its next value", 2)
  end
  if not self.set_ then begin(self) end
  self.has_started_, self.is_running_ = true, true
  return deliver(self, resume(self.thread_))
end

--- It catches whatever `emit` raises.
local function close_hard(self)
  finish(self)
  local ok, err = co.close(self.thread_)
  if not ok and err ~= self.stop_ then error(err, 0) end
end

local function close(self)
  if self.has_ended_ or not self.has_started_ or status(self.thread_) == "dead" then return finish(self) end
  if self.is_running_ then error("cannot close a generator that is running", 3) end
  self.stop_ = core.error { kind = "closed", op = "gen", message = "the generator was closed" }
  self.is_running_ = true
  local ok, err = resume(self.thread_)
  self.is_running_ = false
  if not ok then
    finish(self)
    error(err, 0)
  end
  if not self.has_ended_ then return close_hard(self) end
  if self.has_failed_ and self.problem_ ~= self.stop_ then raise_problem(self) end
end

-- ---- What was left in the middle ---------------------------------------------------------------

--- The generator begins: who closes it if nobody does? Loaded by the first that begins.
local register
function begin(self)
  register = register or require("eddy.gen_left")(close)
  register(self)
end

--- Nothing can stop a finalizer, and scripts have this table: no metamethod of theirs may run.
function Generator:__gc()
  local set = rawget(self, "set_")
  if type(set) ~= "table" or rawget(self, "has_ended_") then return end
  local left = rawget(set, "left")
  if type(left) ~= "table" then left = {} end
  rawset(left, rawlen(left) + 1, self)
  rawset(set, "left", left)
end

--- End the producer now: its `<close>` variables run. An error of theirs is raised here. Can be
--- repeated; a generator that has ended is left alone.
---@async
function Generator:close()
  close(self)
end

function Generator:__close()
  close(self)
end

function Generator:__tostring()
  local state = self.has_ended_ and "ended" or self.is_running_ and "running"
    or self.has_started_ and "suspended" or "not started"
  return "eddy.Generator: " .. state
end

--- Make a generator: `for a, b in eddy.gen(function(emit) … emit(a, b) … end) do`.
---
--- `fn(emit)` runs when the loop asks for the first value and goes on after each `emit` when it asks for
--- the next. It may await; it may not emit out of a block that it opened itself (`eddy.timeout`, say):
--- that raises "cannot yield out of …". `emit(nil)` raises, and so does `emit` from another coroutine or
--- after the end. An error in `fn` is raised, the same value, where the next value was asked for.
---
--- Leaving the loop early closes the producer: `emit` raises an error of kind `"closed"` in it, so that
--- its `<close>` variables run. Who steps the iterator by hand closes it by hand, with the fourth result:
--- `closing:close()`. What nobody closes is closed at the end of the task that made it. One task at a
--- time may ask for a value.
---
--- (Lua 5.4.4 itself forgets to close a loop left by `break` when a function captures a variable of the
--- loop's body; `return`, `goto`, and variables declared outside of the body are not affected.)
---@param fn fun(emit: fun(...: any))
---@return fun(): ... iterator  awaits where `fn` does
---@return nil
---@return nil
---@return table closing        a `<close>` value with `close()`
function gen.new(fn)
  misuse.check_callable("gen", 1, fn)
  local self = setmetatable({ has_started_ = false, is_running_ = false, has_ended_ = false, maker_ = core.current() },
    Generator)
  self.thread_ = create(function() produce(self, fn) end)
  local function next_values() return step(self) end
  closing_values[next_values] = self
  return next_values, nil, nil, self
end

return gen
