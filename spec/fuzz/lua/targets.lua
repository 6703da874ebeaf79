-- SPDX-License-Identifier: MIT
-- What eddy takes apart in Lua of what a peer sends. A target is called with a text, whatever it is, and
-- raises when something does not hold. Those that are fed in pieces are asked for every point to cut at.
-- Each has a corpus in spec/fuzz/corpus/NAME and words that matter to it.
local core = require "eddy.core"
local compress = require "eddy.http.compress"
local cookies = require "eddy.http.cookies"
local decode = require "eddy.http.decode"
local events = require "eddy.http.events"
local file = require "eddy.http.file"
local mime = require "eddy.http.mime"
local multipart = require "eddy.http.multipart"
local request = require "eddy.http.request"
local response = require "eddy.http.response"
local retry = require "eddy.http.retry"
local json = require "eddy.json"

local targets = {}

local EVERY = 200   -- texts up to this length are cut at every point, others at so many

--- `once(pieces)` must give the same for the whole text, for two pieces and for single bytes.
local function each_cut(text, once)
  local whole = once { text }
  local step = math.max(1, #text // EVERY)
  for at = 1, #text - 1, step do
    local got = once { text:sub(1, at), text:sub(at + 1) }
    if got ~= whole then error(("cut at %d:\n%s\nand not:\n%s"):format(at, got, whole)) end
  end
  local bytes = {}
  for byte in text:gmatch "." do bytes[#bytes + 1] = byte end
  if once(bytes) ~= whole then error "single bytes make a difference" end
end

-- ---- Server-sent events ------------------------------------------------------------------------

local function events_of(pieces)
  local parser, list = events.parser(), {}
  for _, piece in ipairs(pieces) do
    parser:feed(piece)
    for event in parser.next, parser do
      assert(type(event.data) == "string" and type(event.event) == "string")
      assert(not event.id or not event.id:find "[\r\n%z]")
      assert(not event.event:find "[\r\n]" and not event.data:find "\r")
      list[#list + 1] = ("%q %q %q %q"):format(event.event, event.data, event.id or "-", event.retry or "-")
    end
  end
  return table.concat(list, "\n")
end

targets.events = {
  words = { "data:", "event: ", "id:", "retry: 10", "\n", "\r", "\r\n", "\n\n", ":", " ", "\xEF\xBB\xBF", "\0", "retry: 99999999999" },
  run = function(text) each_cut(text, events_of) end,
}

-- ---- Lines of a body ---------------------------------------------------------------------------

local lines = response.new(0).lines

local function lines_of(pieces)
  local n, list = 0, {}
  local body = { read = function()
    n = n + 1
    return pieces[n]
  end }
  for line in lines(body) do
    assert(not line:find "\n")
    list[#list + 1] = ("%q"):format(line)
  end
  return table.concat(list, "\n")
end

targets.lines = {
  words = { "\n", "\r", "\r\n", "\n\n", "a" },
  run = function(text) each_cut(text, lines_of) end,
}

-- ---- Cookies -----------------------------------------------------------------------------------

local URLS = { "http://www.example.com/a/b", "https://example.co.uk/", "http://127.0.0.1/", "https://a.b.test:8443/x?y" }

targets.set_cookie = {
  words = { "; ", "=", "Domain=", ".example.com", "co.uk", "Path=/", "Max-Age=", "-1", "99999999999999999999", "Secure", "HttpOnly",
    "Expires=", "Wed, 09 Jun 2100 10:18:14 GMT", "__Host-", "__Secure-", "\0", "\r\n", ",", "\"" },
  run = function(text)
    for _, url in ipairs(URLS) do
      local jar = cookies.jar()
      local is_kept = jar:store(url, text)
      local field, list = jar:header(url), jar:list()
      assert(type(is_kept) == "boolean" and #list <= 1)
      assert(is_kept or #list == 0 and field == nil)
      assert(not field or core.http.is_value(field), "a field that cannot be sent")
      for _, cookie in ipairs(list) do
        local host = core.url.parse(url).host
        assert(host == cookie.domain or host:sub(-#cookie.domain - 1) == "." .. cookie.domain)
        assert(cookie.path:sub(1, 1) == "/" and cookie.name ~= "")
      assert(not cookie.name:find "[;%z\1-\8\10-\31]" and not cookie.value:find ";")
      end
    end
  end,
}

-- ---- Fields of requests and answers ------------------------------------------------------------

targets.accept_encoding = {
  words = { "gzip", "identity", "*", ";q=", "0.", "1", ",", " ", "br", "x-gzip", "\t", ";", "=" },
  run = function(text)
    local is_wanted = compress.is_wanted(text)
    assert(type(is_wanted) == "boolean")
    assert(not is_wanted or text:find "[Gg][Zz][Ii][Pp]" or text:find("*", 1, true))
  end,
}

targets.range = {
  words = { "bytes=", "-", ",", "0", "99", "999999999999999", " ", "lines=", "Bytes=" },
  run = function(text)
    for _, size in ipairs { 0, 1, 100, 1 << 40 } do
      local ranges, sum = file.ranges(text, size), 0
      assert(not ranges or #ranges <= 16)
      for _, range in ipairs(ranges or {}) do
        local from, to = range[1], range[2]
        assert(math.type(from) == "integer" and math.type(to) == "integer" and 0 <= from and from <= to and to < size)
        sum = sum + to - from + 1
      end
      assert(not ranges or #ranges < 2 or sum <= size)
    end
  end,
}

targets.etags = {
  words = { '"', "W/", ",", "*", '"a"', " ", "w/" },
  run = function(text)
    local strong, weak = file.lists(text, '"a"', false), file.lists(text, '"a"', true)
    assert(type(strong) == "boolean" and type(weak) == "boolean" and (weak or not strong))
    assert(not weak or text:find('"a"', 1, true) or text:find "^%s*%*%s*$")
  end,
}

targets.date = {
  words = { "Sun, ", "06 ", "Nov ", "1994 ", "08:49:37", " GMT", "Sunday, ", "06-Nov-94 ", "  ", "9999", "31", "60", "99" },
  run = function(text)
    local date, seconds = mime.parse_date(text), retry.after(text)
    assert(date == nil or math.type(date) == "integer")
    assert(seconds == nil or seconds >= 0)
    if date and date >= 0 and date < 253402300800 then   -- what has four digits of a year comes back
      local again = mime.parse_date(mime.format_date(date))
      assert(again == date, mime.format_date(date))
    end
  end,
}

targets.path = {
  words = { "/", "..", "%2e", "%2F", "%00", "\\", "%5c", "%", "%zz", ".", "//", "%252e" },
  run = function(text)
    local path = file.decode_path(text)
    if not path then return end
    assert(path:sub(1, 1) ~= "/" and not path:find "[%z\\]")
    for part in path:gmatch "[^/]+" do assert(part ~= ".." and part ~= ".") end
  end,
}

local PLANS = {}
for i, url in ipairs { "https://user:pass@www.example.com/a/b?c", "http://[::1]:8080/" } do
  PLANS[i] = assert(request.prepare({ headers = {} }, "GET", url, { headers = { Authorization = "secret", Cookie = "secret" } }))
end

targets.location = {
  words = { "//", "/", "http://", "https://", "@", ":", "?", "#", "..", "www.example.com", "\r\n", "\0", " ", "%0d", "[::1]", "file:" },
  run = function(text)
    for _, plan in ipairs(PLANS) do
      local after, err = request.redirect(plan, 302, text)
      assert(after or err.code == "EREDIRECT" or err.code == "EDOWNGRADE")
      if after then
        local head = after.head
        assert(not head:gsub("\r\n", ""):find "[%c]" and select(2, head:gsub("\r\n\r\n", "")) == 1)
        assert(after.origin == plan.origin or not head:find "secret", "credentials for another origin")
        assert(after.url:find "^https?://" and not after.url:find "secret")
      end
    end
  end,
}

targets.content_encoding = {
  words = { "gzip", "deflate", "br", "zstd", "identity", ",", " ", "x-gzip", ";" },
  run = function(text)
    local decoder <close> = decode.new(text, 1000)
    assert(not decoder or #decoder >= 1 and #decoder <= 4)
    if decoder then decoder:feed "some bytes that are none of them" end
  end,
}

-- ---- Bodies ------------------------------------------------------------------------------------

targets.json = {
  words = { "{", "}", "[", "]", ":", ",", '"', "\\u0000", "\\ud800", "1e999", "-", "null", "true", "\xff", " " },
  run = function(text)
    local value, problem = json.decode(text)
    assert(value == nil or problem == nil)
    if problem then return end
    local ok, again = pcall(json.encode, value)
    if not ok then return end   -- what JSON says may have no JSON: a string that is not UTF-8
    assert(json.encode(json.decode(again)) == again, again)
  end,
}

--- Taken apart as RFC 2046 says, by somebody else's eyes: the parts of a body.
local function parts_of(body, boundary)
  local list, at = {}, 1
  local mark = "--" .. boundary
  while true do
    assert(body:sub(at, at + #mark - 1) == mark, "no boundary where one should be")
    at = at + #mark
    if body:sub(at) == "--\r\n" then return list end
    local head_end = assert(select(2, body:find("\r\n\r\n", at, true)))
    local stop = assert(body:find("\r\n" .. mark, head_end + 1, true))
    list[#list + 1] = { head = body:sub(at, head_end), body = body:sub(head_end + 1, stop - 1) }
    at = stop + 2
  end
end

targets.multipart = {
  words = { "--", "\r\n", "\r\n--", '"', "eddy-", "\0", "%22", ";", "--\r\n" },
  run = function(text)
    local half = text:sub(1, #text // 2)
    local body, kind = multipart.encode { { name = half, body = text }, { name = "b", filename = half, body = half } }
    local boundary = kind:match "boundary=(.*)$"
    local parts = parts_of(body, boundary)
    assert(#parts == 2 and parts[1].body == text and parts[2].body == half)
    for i, part in ipairs(parts) do
      assert(select(2, part.head:gsub("\r\n", "")) == (i == 1 and 3 or 4), "another line in the head of a part")
    end
  end,
}

return targets
