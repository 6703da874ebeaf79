-- SPDX-License-Identifier: MIT
-- How the runner tells what happens: a line for each class, written in two halves so that a crash or
-- a hang leaves the name of its class on the screen; failures in full at the end.
local lu = require "luaunit"

local SLOW = 2   -- seconds: slower tests are named

--- A manual clock jumps: the wall's cannot have gone further than this.
local function seconds_since(measured, wall) return math.min(measured, os.time() - wall + 1) end

--- A report for luaunit's `outputType`.
---@param options {verbose: boolean, now: (fun(): number), traces: table<string, string>}
---@return table
return function(options)
  local Report = lu.genericOutput.new()
  local Report_MT = { __index = Report }

  function Report.new(runner)
    local self = lu.genericOutput.new(runner)
    self.troubles, self.slow = {}, {}
    return setmetatable(self, Report_MT)
  end

  local function write(...)
    io.stdout:write(...)
    io.stdout:flush()
  end

  function Report:startClass(name)
    self.count, self.bad, self.skipped = 0, 0, 0
    write("  spec     ", name, options.verbose and "\n" or "")
  end

  function Report:startTest(name)
    self.started, self.began = options.now(), os.time()
    if options.verbose then write("             ", name:match("%.([^.]*)$") or name) end
  end

  function Report:updateStatus(node)
    if node:isSkipped() then
      self.skipped = self.skipped + 1
    else
      self.bad = self.bad + 1
      self.troubles[#self.troubles + 1] = node
    end
  end

  function Report:endTest(node)
    local seconds = seconds_since(options.now() - self.started, self.began)
    self.count = self.count + 1
    if seconds > SLOW then self.slow[#self.slow + 1] = ("%s (%.1f s)"):format(node.testName, seconds) end
    if not options.verbose then return end
    write(("  %s  %.0f ms%s\n"):format(node.status, seconds * 1000, node:isSkipped() and ": " .. tostring(node.msg) or ""))
  end

  function Report:endClass()
    if options.verbose then return end
    write((": %d%s%s\n"):format(self.count, self.bad > 0 and (", %d FAILED"):format(self.bad) or "",
      self.skipped > 0 and (", %d skipped"):format(self.skipped) or ""))
  end

  function Report:endSuite()
    for _, name in ipairs(self.slow) do write("  slow     ", name, "\n") end
    for i, node in ipairs(self.troubles) do
      write(("\n%d) %s: %s\n%s\n"):format(i, node:isError() and "error" or "failure", node.testName, tostring(node.msg)))
      local trace = node:isError() and options.traces[node.testName]
      if trace then write(trace, "\n") end
    end
    if #self.troubles > 0 then write("\n") end
  end

  return Report
end
