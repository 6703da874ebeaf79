-- SPDX-License-Identifier: MIT
-- The demonstration: what it prints, and that its crawl can be cancelled at every moment.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local path = package.path
package.path = "examples/?.lua;" .. path
local crawler = require "crawl.crawler"
local library = require "crawl.library"
local links = require "crawl.links"
local origin = require "crawl.origin"
local text = require "crawl.text"
package.path = path

local DEMO = "examples/crawl.lua"

local function row(output, name)
  return output:match("\n  " .. name .. "%s+([^\n]*)")
end

local TestProgram = {}

function TestProgram.test_outside_table()
  local result = process.eddy({ DEMO, "--pages", "80", "--hurry", "0.2" }, { timeout = 60 })
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.code, 0)
  local fetched, found = row(result.stdout, "pages"):match("^(%d+) fetched of (%d+) found")
  local failed = row(result.stdout, "failed"):match("^%d+")
  lu.assertEquals(found, "80")
  lu.assertEquals(fetched + failed, 80)
  lu.assertTrue(tonumber(fetched) > 60)
  local peak, allowed = row(result.stdout, "in flight"):match("^(%d+) at the most, (%d+) allowed")
  lu.assertEquals(allowed, "32")
  lu.assertTrue(tonumber(peak) > 8 and tonumber(peak) <= 32)
  lu.assertTrue(tonumber(row(result.stdout, "latencies"):match("([%d.]+) times")) > 2)
  lu.assertTrue(row(result.stdout, "licences") ~= nil or row(result.stdout, "words") ~= nil)
end

function TestProgram.test_outside_plain_lines_in_a_pipe()
  local result = process.eddy({ DEMO, "--pages", "40", "--hurry", "0.1" }, { timeout = 60, env = { TERM = "xterm" } })
  lu.assertNil(result.stdout:find("[\r\27]"))
  lu.assertStrMatches(result.stdout, ".*\n%d+ of 40 pages, %d+ in flight, %d+ failed, [%d.]+ s\n.*")
end

function TestProgram.test_outside_bar_on_a_terminal()
  if not process.run("script -qec true /dev/null").ok then lu.skip("no `script` to make a terminal") end
  local demo = ("%s %s --pages 40 --hurry 0.1"):format(process.quote(process.program), DEMO)
  local command = ("script -qec %s /dev/null"):format(process.quote(demo))
  local result = process.run(command, { timeout = 60, env = { TERM = "xterm" } })
  lu.assertStrContains(result.stdout, "\r[####")
  lu.assertStrContains(result.stdout, "  wall time")
end

function TestProgram.test_outside_interrupted()
  -- Not before it has begun: a shell starts what runs in the background with SIGINT ignored.
  local command = ([[out=$(mktemp); %s %s --hurry 4 >$out & pid=$!
    until grep -q served $out; do sleep 0.05; done
    sleep 0.3; kill -INT $pid; wait $pid; code=$?
    cat $out; rm $out; exit $code]]):format(process.quote(process.program), DEMO)
  local result = process.run(command, { timeout = 20 })
  lu.assertEquals(result.code, 130)
  lu.assertEquals(result.stderr, "")
  lu.assertStrContains(result.stdout, "  wall time")
end

function TestProgram.test_outside_limited_in_time()
  local result = process.eddy({ DEMO, "--hurry", "4", "--within", "0.5" }, { timeout = 20 })
  lu.assertStrContains(result.stdout, "  wall time")
  lu.assertTrue(tonumber(row(result.stdout, "wall time"):match("[%d.]+")) < 5)
end

function TestProgram.test_outside_wrong_options()
  for _, words in ipairs { { "--what", "1" }, { "--pages" }, { "--pages", "many" }, { "--pages", "1.5" }, { "--at-once", "0" },
    { "https://host/" }, { "host" } } do
    local result = process.eddy { DEMO, table.unpack(words) }
    lu.assertEquals(result.code, 2)
    lu.assertStrContains(result.stderr, "crawl: ")
  end
end

function TestProgram.test_outside_page_that_is_not_there()
  local result = process.eddy { DEMO, "--timeout", "2", "http://127.0.0.1:1/" }
  lu.assertEquals(result.code, 1)
  lu.assertStrContains(row(result.stdout, "failed"), "ECONNREFUSED")
end

-- ---- The crawl -----------------------------------------------------------------------------------

--- A library of `n` pages in a ring, each of which links to the next three and to one that is missing.
local function ring(n)
  local shelf = {}
  function shelf.page(_, target)
    local number = target == "/" and 0 or tonumber(target:match("^/(%d+)$"))
    if not number then return nil end
    local refs = {}
    for k = 1, 3 do refs[k] = ('<a href="/%d">'):format((number + k) % n) end
    refs[4] = '<a href="/missing">'
    return { type = "text/html", body = table.concat(refs) .. ("text "):rep(200) }
  end
  return shelf
end

local SETTINGS = { at_once = 4, pages = 24, timeout = 5, pause = 0 }

--- Serve and crawl a ring; call `during` with the crawl's task.
local function crawl_ring(during)
  local report = crawler.new_report()
  eddy.run(function()
    local server, url = origin.serve(ring(20), { seed = 3, hurry = 0 })
    local task = eddy.spawn(crawler.crawl, setmetatable({ start = { url } }, { __index = SETTINGS }), report)
    during(task)
    server:close()
  end)
  return report
end

local TestCrawl = {}

function TestCrawl.test_outside_finds_all()
  local report = crawl_ring(function(task) task:await() end)
  lu.assertEquals(report.known, 22)   -- "/", 20 numbers and the missing one
  lu.assertEquals(report.fetched + report.failed, 22)
  lu.assertEquals(report.failures["status 404"], 1)
  lu.assertEquals(report.peak, 4)
  lu.assertEquals(report.in_flight, 0)
end

--- Let `n` changes of what anybody waits for go by, or the task end.
local function let_pass(n, task)
  local last = eddy.dump()
  while n > 0 and task:status() ~= "done" do
    eddy.sleep(0)
    local state = eddy.dump()
    if state ~= last then n, last = n - 1, state end
  end
end

--- Cancelled in each state that it goes through: it ends, and nothing is left.
function TestCrawl.test_outside_cancelled_at_every_wait()
  local changes, cancelled = 0, true
  while cancelled do
    local status
    local report = crawl_ring(function(task)
      let_pass(changes, task)
      cancelled = task:cancel("enough")
      task:join()
      status = task:status()
    end)
    local left = eddy.stats()
    left.bytes = nil
    lu.assertEquals(left, { tasks = 0, operations = 0, handles = 0, timers = 0, files = 0, jobs = 0 }, "after change " .. changes)
    lu.assertEquals(report.in_flight, 0)
    if cancelled then lu.assertEquals(status, "cancelled") end
    changes = changes + 1
  end
  lu.assertTrue(changes > 20, changes)
end

-- ---- Its parts -----------------------------------------------------------------------------------

local TestParts = {}

function TestParts.test_outside_resolve()
  local base = "http://host:1/a/b/c?q"
  for reference, wanted in pairs { ["d"] = "http://host:1/a/b/d", ["/d"] = "http://host:1/d", ["../d"] = "http://host:1/a/d",
    ["../../../d"] = "http://host:1/d", ["?x"] = "http://host:1/a/b/c?x", ["//other/d"] = "http://other/d", ["."] = "http://host:1/a/b/",
    ["http://OTHER"] = "http://other/", ["d#f"] = "http://host:1/a/b/d" } do
    lu.assertEquals(links.resolve(base, reference), wanted, reference)
  end
  for _, reference in ipairs { "", "#f", "mailto:a@b", "javascript:x", "a b" } do
    lu.assertNil(links.resolve(base, reference), reference)
  end
end

function TestParts.test_outside_links_of_a_page()
  local found = links.of { url = "http://h/x", headers = { ["content-type"] = "text/html; charset=utf-8", link = '</y>; rel="next"' },
    body = [[<A class=k HREF='a?b&amp;c'>, <a href=b>, <a href="b">, <a name="c">]] }
  lu.assertEquals(found, { "http://h/y", "http://h/a?b&c", "http://h/b" })
end

function TestParts.test_outside_licences()
  lu.assertEquals(text.licences("Files: *\nLicense: GPL-2+ or Expat\n ..."), { GPL = true, MIT = true })
  lu.assertEquals(text.licences("the terms of the GNU Lesser General\nPublic License"), { LGPL = true })
  lu.assertEquals(text.licences("nothing of that kind"), {})
end

--- Files cut into sections: followed from `next` to `next` they are the file.
function TestParts.test_outside_sections()
  local shelf, count = library.open(100000, "."), 0
  for name, begins in pairs(shelf.sections) do
    local page = shelf:page(name)
    local pieces = { page.body }
    while page.next do
      page = shelf:page(page.next)
      pieces[#pieces + 1] = page.body
    end
    lu.assertEquals(#pieces, #begins)
    local file <close> = assert(io.open(shelf.files[name], "rb"))
    lu.assertEquals(table.concat(pieces), file:read("a"))
    count = count + 1
    if count == 30 then break end
  end
  lu.assertTrue(count > 0)
end

--- The index leads to every page that is listed, once, and to none that is not there.
function TestParts.test_outside_index()
  local shelf, linked = library.open(300, "."), 0
  for _, letter in ipairs(links.of { url = "http://h/", headers = { ["content-type"] = "text/html" }, body = shelf:page("/").body }) do
    local page = shelf:page(letter:sub(9))
    for _, link in ipairs(links.of { url = letter, headers = { ["content-type"] = "text/html" }, body = page.body }) do
      lu.assertTrue(shelf:page(link:sub(9)) ~= nil, link)
      linked = linked + 1
    end
  end
  lu.assertEquals(linked, #shelf.listed)
  lu.assertTrue(linked >= 300)
  lu.assertNil(shelf:page("/no/such/page"))
  lu.assertNil(shelf:page("/-/\1"))
  lu.assertNil(shelf:page(shelf.listed[1]:match("^[^?]*") .. "/../../../etc/passwd"))
end

return { TestProgram = TestProgram, TestCrawl = TestCrawl, TestParts = TestParts }
