-- SPDX-License-Identifier: MIT
-- Code that may go wrong: each plugin gets slices, so that nobody waits for it, and an end. (What means harm
-- belongs into a sandbox of its own: see the guide, "Scripts that are not trusted".)
local eddy = require "eddy"

local plugins = {
  greeter = function() return "hello" end,
  runaway = function() while true do pcall(error, "again") end end,
  hoarder = function()
    local list = {}
    while true do list[#list + 1] = ("x"):rep(1000) .. #list end
  end,
  patient = function()
    eddy.sleep(0.05)
    return "waited while the others computed"
  end,
}

local names = {}
for name in pairs(plugins) do names[#names + 1] = name end
table.sort(names)

local tasks = {}
for i, name in ipairs(names) do
  tasks[i] = eddy.spawn_with({ name = name, slice = 0.005, cpu = 0.1, memory = 4 << 20 }, plugins[name])
end

for i, result in ipairs(eddy.settle(tasks)) do
  print(names[i], result.ok and result.value or ("ended: %s"):format(result.err.code))
end
