-- SPDX-License-Identifier: MIT
--
-- Pools of things that are dear to open: connections, handles, processes.
--
-- A place is a permit of a semaphore, so waiters are served in order; what lies idle is a stack, so
-- the freshest goes out first and the rest can grow old. Whatever happens to the task that gets one
-- (an error, a cancel, a deadline, its kill, while it waits, opens or checks), its place comes back and
-- nothing stays open that nobody has: until the slot is handed over, both belong to a claim in a
-- `<close>` variable. The same goes for places while something is being closed, so there are never
-- more than `max`.

local core = require "eddy.core"
local misuse = require "eddy.misuse"

local CLOSE_GRACE = 5   -- seconds that closing may take when its task is cancelled
local NO_ENTRIES = math.huge

local pool = {}

---@class eddy.Pool
local Pool = {}
Pool.__index = Pool
Pool.__name = "eddy.Pool"

---@class eddy.Slot
local Slot = {}
Slot.__index = Slot
Slot.__name = "eddy.Slot"

local function failure(kind, op, message)
  return core.error { kind = kind, op = op, message = message }
end

-- ---- One entry ---------------------------------------------------------------------------------

--- Close what lies in `entry`. In a cancelled task this is shielded; in one that is killed, or
--- outside of one, `close` runs but cannot wait. What it raises goes to `on_error`.
local function destroy(self, entry)
  local close, has_begun = self.close_, false
  self.open_count = self.open_count - 1
  if not close then return end
  local ok, err = pcall(core.shield, CLOSE_GRACE, function()
    has_begun = true
    close(entry.value)
  end)
  if not has_begun then ok, err = pcall(close, entry.value) end
  if not ok and not core.cancels(err) then core.report(err) end
end

--- When it is too old to be given out.
local function expiry(self, entry)
  return math.min(entry.since + self.idle, entry.born + self.lifetime)
end

local function is_good(self, entry)
  if expiry(self, entry) <= core.now() then return false end
  if not self.check then return true end
  local ok, good = pcall(self.check, entry.value)
  if ok then return good end
  if core.cancels(good) then error(good, 0) end
  core.report(good)
  return false
end

-- ---- Growing old -------------------------------------------------------------------------------

local function earliest_expiry(self)
  local earliest = NO_ENTRIES
  for _, entry in ipairs(self.free) do earliest = math.min(earliest, expiry(self, entry)) end
  return earliest
end

local function take_expired(self)
  local now = core.now()
  for i, entry in ipairs(self.free) do
    if expiry(self, entry) <= now then return table.remove(self.free, i) end
  end
end

--- A task of the runtime's, for as long as something lies idle that can grow old. What a closed pool
--- still has is closed by whoever closes the pool.
local function reap(self)
  while #self.free > 0 and not self.is_closed do
    self.reap_at = earliest_expiry(self)
    self.changed:clear()
    core.select { self.changed, timeout = self.reap_at - core.now() }
    for entry in take_expired, self do destroy(self, entry) end
  end
end

local function has_ended(task)
  local status = task:status()
  return status == "done" or status == "failed" or status == "cancelled"
end

--- See to it that what lies idle now is closed when it is too old.
local function watch_age(self)
  local earliest = earliest_expiry(self)
  if earliest == math.huge then return end
  if self.reaper and not has_ended(self.reaper) then
    if earliest < self.reap_at then self.changed:set() end
    return
  end
  self.reap_at = earliest
  local ok, task = pcall(core.background, reap, self)   -- not outside a task: then `get` sees to it
  self.reaper = ok and task or nil
end

-- ---- Getting one -------------------------------------------------------------------------------

--- A place, and what lies in it, on the way to becoming a slot.
local Claim = {}

function Claim.__close(claim)
  if claim.is_delivered then return end
  local _ <close> = claim.permit   -- also when closing is cut short
  local entry = claim.entry
  claim.entry = nil
  if entry then destroy(claim.pool, entry) end
end

local function closed_error()
  return failure("closed", "pool:get", "the pool is closed")
end

--- An idle one that is still good.
local function take_idle(self, claim)
  while #self.free > 0 do
    local entry = table.remove(self.free)
    claim.entry = entry
    if is_good(self, entry) then return true end
    claim.entry = nil
    destroy(self, entry)
  end
  return false
end

local function open_new(self, claim)
  local value, err = self.open_()
  if not value then
    return nil, err == nil and failure("closed", "pool:get", "open returned nothing") or err
  end
  self.open_count = self.open_count + 1
  claim.entry = { value = value, born = core.now(), since = core.now() }
  return true
end

--- Get a place and something in it. Whatever was got is in `claim` at any time.
local function fill(self, claim)
  claim.permit = claim.permit or self.places:acquire()
  if self.is_closed then return nil, closed_error() end
  local ok, err = take_idle(self, claim), nil
  if not ok then ok, err = open_new(self, claim) end
  if ok and self.is_closed then return nil, closed_error() end
  return ok, err
end

local function check_timeout(options)
  if options == nil then return nil end
  if type(options) ~= "table" then error("pool:get: options must be a table", 3) end
  for name in pairs(options) do
    if name ~= "timeout" then error(("unknown pool:get option '%s'"):format(tostring(name)), 3) end
  end
  local timeout = options.timeout
  if timeout ~= nil and (type(timeout) ~= "number" or timeout ~= timeout) then
    error("pool:get option 'timeout' must be a number", 3)
  end
  return timeout
end

--- What is there at once is had also when no time is left.
local function fill_within(self, claim, timeout)
  core.checkpoint()
  claim.permit = self.places:try_acquire()
  local top = self.free[#self.free]
  if claim.permit and top and not self.check and expiry(self, top) > core.now() then return fill(self, claim) end
  local in_time, ok, err = core.within(timeout, fill, self, claim)
  if in_time then return ok, err end
  return nil, failure("timeout", "pool:get", ("nothing to be had in %g s"):format(timeout))
end

function Pool:get(options)
  misuse.check_self("get", self, Pool)
  local timeout = check_timeout(options)
  local claim <close> = setmetatable({ pool = self }, Claim)
  if self.is_closed then
    core.checkpoint()
    return nil, closed_error()
  end
  local ok, err
  if timeout then ok, err = fill_within(self, claim, timeout) else ok, err = fill(self, claim) end
  if not ok then return nil, err end
  claim.is_delivered = true
  local slot = setmetatable({ value = claim.entry.value, claim_ = claim }, Slot)
  core.probe.hold(slot, "slot of a pool")
  return slot
end

-- ---- Giving it back ----------------------------------------------------------------------------

--- The slot's claim, once.
local function take_claim(slot)
  local claim = slot.claim_
  if claim then core.probe.release(slot) end
  slot.claim_, slot.value = nil, nil
  return claim
end

function Slot:release()
  misuse.check_self("release", self, Slot)
  local claim = take_claim(self)
  if not claim then return false end
  local owner, entry = claim.pool, claim.entry
  local _ <close> = claim.permit
  entry.since = core.now()
  if owner.is_closed or expiry(owner, entry) <= entry.since then
    destroy(owner, entry)
  else
    table.insert(owner.free, entry)
    watch_age(owner)
  end
  return true
end

function Slot:discard()
  misuse.check_self("discard", self, Slot)
  local claim = take_claim(self)
  if not claim then return false end
  local _ <close> = claim.permit
  destroy(claim.pool, claim.entry)
  return true
end

Slot.__close = Slot.release

-- ---- The whole ---------------------------------------------------------------------------------

function Pool:stats()
  misuse.check_self("stats", self, Pool)
  local idle = #self.free
  return { open = self.open_count, idle = idle, busy = self.open_count - idle, waiting = self.places:waiting() }
end

local function close_idle(self)
  while #self.free > 0 do destroy(self, table.remove(self.free)) end
end

--- For a close that is itself cut short: the rest is closed without waiting.
local REST = { __close = function(rest) close_idle(rest.pool) end }

function Pool:close()
  misuse.check_self("close", self, Pool)
  if self.is_closed then return end
  self.is_closed = true
  local waiting = self.places:waiting()
  if waiting > 0 then self.places:release(waiting) end   -- they find it closed
  self.changed:set()
  local _ <close> = setmetatable({ pool = self }, REST)
  close_idle(self)
end

Pool.__close = Pool.close

local OPTIONS = { open = "a function", close = "a function", check = "a function", max = "an integer", idle = "a number",
  lifetime = "a number" }

local function check_option(name, value)
  local wanted = OPTIONS[name]
  if not wanted then error(("unknown pool option '%s'"):format(tostring(name)), 4) end
  local kind = wanted == "an integer" and tostring(math.type(value)) or type(value)
  if not wanted:find(kind, 1, true) then error(("pool option '%s' must be %s"):format(name, wanted), 4) end
  if kind ~= "function" and (value <= 0 or value ~= value) then
    error(("pool option '%s' must be above 0"):format(name), 4)
  end
end

local function check_options(options)
  if type(options) ~= "table" then error("pool: a table of options expected", 3) end
  for name, value in pairs(options) do check_option(name, value) end
  if not options.open then error("pool option 'open' is missing", 3) end
end

function pool.new(options)
  check_options(options)
  return setmetatable({
    open_ = options.open, close_ = options.close, check = options.check,
    idle = options.idle or math.huge, lifetime = options.lifetime or math.huge,
    places = core.semaphore(options.max or math.maxinteger),
    free = {}, open_count = 0, is_closed = false, changed = core.event(), reap_at = math.huge,
  }, Pool)
end

return pool
