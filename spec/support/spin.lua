-- SPDX-License-Identifier: MIT
-- Compute for so many seconds of the process's CPU time, without a wait.
---@param seconds number
return function(seconds)
  local from = os.clock()
  while os.clock() - from < seconds do end
end
