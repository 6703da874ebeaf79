-- SPDX-License-Identifier: MIT
-- The questions that every wait must answer, asked in one place. A wait is described by
--   setup()      -> env     what it waits on
--   wait(env)    -> ...     waits; what it returns goes to `check`
--   finish(env)             makes the wait end well
--   check(lu, env, ...)     looks at the results
--   close(env)              closes what is waited on; the wait then returns nil and an error
--   code                    of that error (default "closed")
--   is_immediate            `finish` completes the wait at once (not by way of the system)
--   is_alone                only one task may wait at a time
-- `waits.class(lu, description)` makes a test class of them. What a cancelled wait would have taken
-- must be there for the next one: that is asked after each cancel.

local eddy = require "eddy"

local waits = {}

local function settle_down()
  for _ = 1, 3 do eddy.sleep(0) end
end

-- A task that waits by now.
local function start(how, env)
  local task = eddy.spawn(how.wait, env)
  settle_down()
  return task
end

local function assert_cancelled(lu, task)
  local ok, err = task:join()
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "cancelled"))
  lu.assertEquals(task:status(), "cancelled")
end

-- After whatever was cancelled the wait still works.
local function assert_works(lu, how, env)
  local task = start(how, env)
  how.finish(env)
  how.check(lu, env, task:await())
end

local function add_common(class, lu, how)
  function class:test_succeeds()
    local env <close> = how.setup()
    local task = start(how, env)
    lu.assertEquals(task:status(), "waiting")
    how.finish(env)
    how.check(lu, env, task:await())
  end

  function class:test_cancelled_before_start()
    local env <close> = how.setup()
    local reached = false
    local task = eddy.spawn(function()
      eddy.current():cancel()
      pcall(how.wait, env)
      reached = true
      how.wait(env)
    end)
    assert_cancelled(lu, task)
    lu.assertTrue(reached)
    assert_works(lu, how, env)
  end

  function class:test_cancelled_while_pending()
    local env <close> = how.setup()
    local task = start(how, env)
    lu.assertTrue(task:cancel())
    lu.assertFalse(task:cancel())
    assert_cancelled(lu, task)
    assert_works(lu, how, env)
  end

  function class:test_cancelled_first_then_finished_in_one_turn()
    local env <close> = how.setup()
    local task = start(how, env)
    local next_one = not how.is_alone and start(how, env)
    task:cancel()
    how.finish(env)
    assert_cancelled(lu, task)
    if next_one then how.check(lu, env, next_one:await()) end
  end

  function class:test_deadline_while_pending()
    local env <close> = how.setup()
    lu.assertFalse(eddy.within(0.001, how.wait, env))
    assert_works(lu, how, env)
  end
end

local function add_immediate(class, lu, how)
  function class:test_finished_first_then_cancelled_in_one_turn()
    local env <close> = how.setup()
    local task = eddy.spawn(function()
      local results = table.pack(how.wait(env))
      how.check(lu, env, table.unpack(results, 1, results.n))   -- what was committed is delivered
      eddy.sleep(0)                                              -- and the next wait raises
      error "not reached"
    end)
    settle_down()
    how.finish(env)
    task:cancel()
    assert_cancelled(lu, task)
  end
end

local function add_close(class, lu, how)
  function class:test_closed_under_it()
    local env <close> = how.setup()
    local task = start(how, env)
    how.close(env)
    local result, err = task:await()
    lu.assertNil(result)
    lu.assertTrue(eddy.is(err, how.code or "closed"))
    lu.assertEquals(eddy.is(err, "closed"), true)
  end

  function class:test_closed_before()
    local env <close> = how.setup()
    how.close(env)
    local result, err = how.wait(env)
    lu.assertNil(result)
    lu.assertTrue(eddy.is(err, "closed"))
  end
end

---@param lu table luaunit
---@param how table description, see the head of this file
---@return table class
function waits.class(lu, how)
  local class = {}
  add_common(class, lu, how)
  if how.is_immediate then add_immediate(class, lu, how) end
  if how.close then add_close(class, lu, how) end
  return class
end

--- An environment that needs no closing, or closes the values given.
function waits.env(fields, ...)
  local closers = { ... }
  return setmetatable(fields, { __close = function()
    for _, object in ipairs(closers) do object:close() end
  end })
end

return waits
