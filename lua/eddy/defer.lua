-- SPDX-License-Identifier: MIT
--
-- Clean-up at the end of a block, which may await also when the block is left by a cancellation. Owns
-- the function until it has run or was dismissed, and promises that it runs at most once.

local core = require "eddy.core"
local misuse = require "eddy.misuse"

local defer = {}

local DEFAULT_GRACE = 5   -- seconds

local Defer = { __name = "eddy.Defer" }
Defer.__index = Defer

--- Where waiting is impossible (outside a task, in a killed one, inside a C function) it just runs.
local function run(self, err)
  local fn = self.fn_
  if fn == nil then return end
  self.fn_ = nil
  if core.awaitable() then core.shield(self.grace_, fn, err) else fn(err) end
end

--- Run the function now, without an error, instead of at the end of the block. Awaits where it does;
--- raises its error. The second call does nothing.
---@async
function Defer:close()
  run(self, nil)
end

--- Forget the function: it will not run. Returns whether it was still to run.
---@return boolean
function Defer:dismiss()
  local was_pending = self.fn_ ~= nil
  self.fn_ = nil
  return was_pending
end

function Defer:__close(err)
  run(self, err)
end

--- Nobody closed it: the word `<close>` was forgotten. The function does not run here, where nothing can wait and
--- what it needs may be gone.
function Defer:__gc()
  local fn = self.fn_
  if fn == nil then return end
  local at = type(fn) == "function" and debug.getinfo(fn, "S") or { short_src = "?", linedefined = 0 }
  core.report(core.error {
    kind = "closed", code = "unclosed", op = "defer",
    message = ("the function at %s:%d never ran: write local _ <close> = eddy.defer(...)"):format(
      at.short_src, at.linedefined),
  })
end

function Defer:__tostring()
  return self.fn_ and "eddy.Defer (pending)" or "eddy.Defer (done)"
end

--- `local _ <close> = eddy.defer(fn)` runs `fn(err)` once when the block is left, with the error that
--- leaves it or nil. It may await: it runs in an `eddy.shield`, so that cancellations and deadlines from
--- outside wait for it, at most `grace` seconds counted from the first of them. An error of `fn` replaces
--- the one that leaves the block, as with every `<close>` variable. In a task that is killed it runs, but
--- cannot wait; outside a task it is called plainly.
---@param fn fun(err: any)
---@param grace? number   seconds, default 5; `math.huge` for as long as it takes
---@return table defer    with `close()` and `dismiss()`
function defer.new(fn, grace)
  misuse.check_callable("defer", 1, fn)
  if grace == nil then grace = DEFAULT_GRACE end
  misuse.check_number("defer", 2, grace)
  if grace ~= grace then error("bad argument #2 to 'defer' (number expected, got NaN)", 2) end
  return setmetatable({ fn_ = fn, grace_ = grace }, Defer)
end

return defer
