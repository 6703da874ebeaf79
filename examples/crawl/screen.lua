-- SPDX-License-Identifier: MIT
-- What the user sees: a bar that moves on a terminal, a line a second in a pipe, a table at the end.

local eddy = require "eddy"
local core = require "eddy.core"

local screen = {}

local WIDTH = 32           -- characters of the bar
local REDRAW, LINE = 0.1, 1   -- seconds

--- Is standard output a terminal that can move its cursor?
---@return boolean
function screen.is_terminal()
  local term = os.getenv("TERM")
  if term == nil or term == "" or term == "dumb" then return false end
  return core.isatty(1)
end

local function line_of(report)
  return ("%d of %d pages, %d in flight, %d failed, %.1f s"):format(report.fetched + report.failed, report.known,
    report.in_flight, report.failed, eddy.now() - report.began)
end

local function bar_of(report)
  local share = report.known > 0 and (report.fetched + report.failed) / report.known or 0
  local filled = math.floor(share * WIDTH)
  return ("\r[%s%s] %s\27[K"):format(("#"):rep(filled), ("-"):rep(WIDTH - filled), line_of(report))
end

--- Show how it goes, until cancelled.
---@async
---@param report crawl.Report
function screen.watch(report)
  local moves = screen.is_terminal()
  -- A `<close>` variable may run after a cancel: the last state stays on the screen.
  local _ <close> = setmetatable({}, { __close = function()
    if moves then io.write(bar_of(report), "\n") else print(line_of(report)) end
  end })
  while true do
    if moves then io.write(bar_of(report)) end
    io.stdout:flush()
    eddy.sleep(moves and REDRAW or LINE)
    if not moves then print(line_of(report)) end
  end
end

-- ---- The table ---------------------------------------------------------------------------------

local function grouped(number)
  local text = ("%d"):format(number):reverse():gsub("(%d%d%d)", "%1 "):reverse()
  return (text:gsub("^ ", ""))
end

--- "timeout 9, status 500 4": a map of counts, largest first.
local function ranking(counts, limit)
  local names, parts = {}, {}
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  for i = 1, math.min(#names, limit) do parts[i] = names[i] .. " " .. counts[names[i]] end
  return table.concat(parts, ", ")
end

--- Text in lines of at most `width`, broken behind commas.
local function wrapped(text, width, indent)
  local lines, line = {}, ""
  for part in (text .. ", "):gmatch("(.-), ") do
    if line ~= "" and #line + #part + 3 > width then
      lines[#lines + 1] = line .. ","
      line = ""
    end
    line = line == "" and part or line .. ", " .. part
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. indent)
end

local function size_of_each(sets)
  local counts = {}
  for name, set in pairs(sets) do
    local n = 0
    for _ in pairs(set) do n = n + 1 end
    counts[name] = n
  end
  return counts
end

--- Print what was found.
---@param report crawl.Report
---@param at_once integer      how many could be in flight
---@param seconds number       wall time
function screen.table(report, at_once, seconds)
  local rows = {}
  local function row(name, format, ...)
    rows[#rows + 1] = ("  %-12s %s"):format(name, wrapped(format:format(...), 84, (" "):rep(15)))
  end
  local function detail(counts, limit)
    return next(counts) and ": " .. ranking(counts, limit) or ""
  end
  row("pages", "%d fetched of %d found%s", report.fetched, report.known,
    report.left_out > 0 and (", %d more links not followed"):format(report.left_out) or "")
  row("bytes", "%s", grouped(report.bytes))
  row("failed", "%d%s", report.failed, detail(report.failures, 12))
  row("requests", "%d, %d of them repeated", report.requests, report.repeats)
  if next(report.licences) then
    row("licences", "%s (copyright files that name each)", ranking(size_of_each(report.licences), 24))
  else
    row("words", "%s%s", grouped(report.words), detail(report.frequency, 10))
  end
  row("in flight", "%d at the most, %d allowed", report.peak, at_once)
  row("wall time", "%.2f s", seconds)
  row("latencies", "%.2f s, %.1f times the wall time", report.latencies, seconds > 0 and report.latencies / seconds or 0)
  print("\n" .. table.concat(rows, "\n"))
  io.stdout:flush()
end

return screen
