-- SPDX-License-Identifier: MIT
-- Crawl some hundred pages at once.   eddy examples/crawl.lua [options] [URL...]
--
-- Without a URL it serves the package documentation of this system, or the text of this repository,
-- from a slow and unreliable web server in the same process (crawl/origin.lua), and crawls that. With
-- URLs it crawls those: the same hosts only, at most --pages pages and --depth links away; plain http
-- for now. Ctrl-C ends it at any moment and still prints the table.
--
--   --pages N      pages to visit, default 400 (100 with URLs)
--   --at-once N    requests in flight, default 32 (4 with URLs)
--   --timeout S    seconds for a request, default 1 (10 with URLs)
--   --depth N      links from the start, default 8 (3 with URLs)
--   --within S     stop after so many seconds
--   --seed N       another fate for the demonstration's pages
--   --hurry F      the demonstration's latencies times F; 0 is none

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local eddy = require "eddy"
local crawler = require "crawl.crawler"
local screen = require "crawl.screen"

local ON_DEMO = { pages = 400, at_once = 32, timeout = 1, depth = 8, within = math.huge, seed = 1, hurry = 1 }
local ON_THE_WEB = { pages = 100, at_once = 4, timeout = 10, depth = 3, within = math.huge, seed = 1, hurry = 1 }

--- Stop with a message about the command line.
local function refuse(message, ...)
  io.stderr:write("crawl: ", message:format(...), "\n")
  os.exit(2)
end

local WHOLE = { pages = true, at_once = true, depth = true, seed = true }

--- The value of option `word`: a number, for some a whole one.
local function value_of(word, name, text)
  local value = tonumber(text)
  value = value and math.tointeger(value) or value
  if not ON_DEMO[name] then refuse("no such option: %s", word) end
  if not value or value < 0 then refuse("%s wants a number", word) end
  if WHOLE[name] and math.type(value) ~= "integer" then refuse("%s wants a whole number", word) end
  if name == "at_once" and value == 0 then refuse("%s must be at least 1", word) end
  return value
end

--- Options and URLs of the command line.
local function parse(words)
  local given, urls, i = {}, {}, 1
  while words[i] do
    local name = words[i]:match("^%-%-(.+)$")
    if name then
      name = name:gsub("-", "_")
      given[name] = value_of(words[i], name, words[i + 1])
      i = i + 2
    else
      if not words[i]:find("^[Hh][Tt][Tt][Pp]://") then refuse("no http URL: %s", words[i]) end
      urls[#urls + 1] = words[i]
      i = i + 1
    end
  end
  return setmetatable(given, { __index = #urls > 0 and ON_THE_WEB or ON_DEMO }), urls
end

--- The origin of the demonstration, in `group`; returns where to start.
---@async
local function serve_documentation(settings)
  local library = require "crawl.library".open(settings.pages, here .. "/..")
  local server, url = require "crawl.origin".serve(library, settings)
  print(("%s: %d %s, served at %s"):format(library.folder, #library.listed,
    next(library.sections) and "files and sections of files" or "files", url))
  return { url }, server
end

---@async
local function crawl(settings, urls, report)
  eddy.group(function(group)
    local server
    if #urls == 0 then urls, server = serve_documentation(settings) end
    report.began = eddy.now()
    group:spawn(screen.watch, report)
    eddy.within(settings.within, crawler.crawl, { start = urls, at_once = settings.at_once, pages = settings.pages,
      depth = settings.depth, timeout = settings.timeout }, report)
    report.ended = eddy.now()
    if server then server:close() end
    group:cancel()
  end)
end

local settings, urls = parse(arg)
local report = crawler.new_report()
do
  -- Closed on every way out, so a cancelled crawl prints its table too.
  local _ <close> = setmetatable({}, { __close = function()
    screen.table(report, settings.at_once, (report.ended or eddy.now()) - report.began)
  end })
  crawl(settings, urls, report)
end
if report.fetched == 0 then os.exit(1) end
