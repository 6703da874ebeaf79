-- SPDX-License-Identifier: MIT
-- One at a time. Between two waits nobody else runs, so a lock is needed only where something must
-- not change *during* a wait.
local eddy = require "eddy"

local balance = 100
local function slow_bank() eddy.sleep(0.005) end

local function withdraw_carelessly(amount)
  local before = balance
  slow_bank()
  balance = before - amount
end
eddy.gather(function() withdraw_carelessly(10) end, function() withdraw_carelessly(20) end)
print("without a lock", balance)

balance = 100
local lock = eddy.lock()
local function withdraw(amount)
  local guard <close> = lock:acquire()
  local before = balance
  slow_bank()
  balance = before - amount
end
eddy.gather(function() withdraw(10) end, function() withdraw(20) end)
print("with a lock", balance, lock:locked())

print(pcall(lock.with, lock, function() lock:acquire() end))
print("free again", not lock:locked())
