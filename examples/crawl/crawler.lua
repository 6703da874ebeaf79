-- SPDX-License-Identifier: MIT
-- The crawl itself: a task for each page, in one group, behind one semaphore.
--
-- A page is fetched with a timeout and tried again after a pause when that may help. What it links to
-- on the same host is spawned into the same group, up to a number of pages and a depth. The report is
-- filled as the crawl goes on, so that it is true at every moment, also after a cancel.

local eddy = require "eddy"
local http = require "eddy.http"
local links = require "crawl.links"
local text = require "crawl.text"

local crawler = {}

---@class crawl.Options
---@field start string[]
---@field at_once integer?    requests in flight, default 32
---@field pages integer?      default 400
---@field depth integer?      links from a start page, default 8
---@field timeout number?     seconds a request may take, default 1
---@field attempts integer?   default 3
---@field pause number?       seconds before the second attempt, default 0.1; doubles

---@class crawl.Report
---@field known integer       pages found, at most `options.pages`
---@field fetched integer
---@field failed integer
---@field left_out integer    links not followed because there were pages enough
---@field requests integer
---@field repeats integer     second and third attempts
---@field bytes integer
---@field words integer
---@field in_flight integer
---@field peak integer        of `in_flight`
---@field latencies number    seconds of all requests, as if one after the other
---@field began number
---@field failures table<string, integer>            kind -> pages
---@field licences table<string, table<string, true>> family -> copyright files
---@field frequency table<string, integer>           word -> count

--- A report with nothing in it yet.
---@return crawl.Report
function crawler.new_report()
  return { known = 0, fetched = 0, failed = 0, left_out = 0, requests = 0, repeats = 0, bytes = 0, words = 0, in_flight = 0,
    peak = 0, latencies = 0, began = eddy.now(), failures = {}, licences = {}, frequency = {} }
end

local DEFAULTS = { at_once = 32, pages = 400, depth = 8, timeout = 1, attempts = 3, pause = 0.1 }

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

-- ---- One request -------------------------------------------------------------------------------

--- Fetch when there is a place. A cancel gives the place back and leaves the numbers right.
---@async
---@return table? response
---@return eddy.Error? err
local function fetch(crawl, url)
  local permit <close> = crawl.places:acquire()
  local report = crawl.report
  local began = eddy.now()
  report.requests = report.requests + 1
  report.in_flight = report.in_flight + 1
  report.peak = math.max(report.peak, report.in_flight)
  local _ <close> = closing(function()
    report.in_flight = report.in_flight - 1
    report.latencies = report.latencies + eddy.now() - began
  end)
  return http.get(url, { timeout = crawl.options.timeout })
end

--- The kind of a failure for the table, or nil where there was none; and whether to try again.
local function judge(response, err)
  if not response then
    local name = err.kind == "timeout" and "timeout" or err.kind .. " " .. tostring(err.code)
    return name, err.code ~= "EINVAL" and err.kind ~= "limit"
  end
  if response.ok then return nil, false end
  return "status " .. response.status, response.status == 429 or response.status >= 500
end

--- Fetch, and again if that may help.
---@async
---@return table? response   nil: it failed and was counted
local function fetch_patiently(crawl, url)
  local options, report = crawl.options, crawl.report
  local pause = options.pause
  for attempt = 1, options.attempts do
    local response, err = fetch(crawl, url)
    local failure, may_help = judge(response, err)
    if not failure then return response end
    if attempt == options.attempts or not may_help then
      report.failed = report.failed + 1
      report.failures[failure] = (report.failures[failure] or 0) + 1
      return nil
    end
    eddy.sleep(pause)
    pause, report.repeats = pause * 2, report.repeats + 1
  end
end

-- ---- One page ----------------------------------------------------------------------------------

local function count(crawl, response)
  local report, body = crawl.report, response.body
  local is_html = (response.headers["content-type"] or ""):find("^text/html") ~= nil
  report.fetched = report.fetched + 1
  report.bytes = report.bytes + #body
  report.words = report.words + text.count_words(body, is_html, report.frequency)
  local document = response.url:match("^[^?]*")
  if not document:find("/copyright$") then return end
  for family in pairs(text.licences(body)) do
    report.licences[family] = report.licences[family] or {}
    report.licences[family][document] = true
  end
end

local visit

--- Spawn a visit of `url`, once, if it is on one of our hosts and there are pages left.
local function follow(crawl, url, depth)
  local origin = links.split(url)
  if crawl.seen[url] or not crawl.hosts[origin] or depth > crawl.options.depth then return end
  crawl.seen[url] = true
  local report = crawl.report
  if report.known >= crawl.options.pages then
    report.left_out = report.left_out + 1
    return
  end
  report.known = report.known + 1
  crawl.group:spawn(visit, crawl, url, depth)
end

---@async
function visit(crawl, url, depth)
  local response = fetch_patiently(crawl, url)
  if not response then return end
  count(crawl, response)
  if not crawl.hosts[links.split(response.url)] then return end   -- redirected to somebody else
  for _, link in ipairs(links.of(response)) do follow(crawl, link, depth + 1) end
end

-- ---- All of them -------------------------------------------------------------------------------

--- Crawl from the start pages; returns when every page has been visited.
---@async
---@param options crawl.Options
---@param report crawl.Report?   filled meanwhile
---@return crawl.Report
function crawler.crawl(options, report)
  local crawl = { options = setmetatable({}, { __index = function(_, name) return options[name] or DEFAULTS[name] end }),
    report = report or crawler.new_report(), seen = {}, hosts = {} }
  crawl.places = eddy.semaphore(crawl.options.at_once)
  eddy.group(function(group)
    crawl.group = group
    for _, url in ipairs(options.start) do
      local origin = links.split(url)
      crawl.hosts[origin or false] = true
      follow(crawl, url, 0)
    end
  end)
  return crawl.report
end

return crawler
