-- SPDX-License-Identifier: MIT
-- Cookies: those of one request, and jars that keep what servers set (RFC 6265).
--
-- A cookie for a public suffix is refused, by libpsl's list where eddy was built with it. Without
-- the list a Domain must have two labels at least, and three where the last has two letters and the
-- one before it is a usual registry's name ("co.uk", "com.au"). Addresses own only themselves.
-- A jar keeps at most 50 cookies of a domain and 3 000 in all; those used longest ago go first.
local core = require "eddy.core"
local misuse = require "eddy.http.misuse"

local cookies = {}

local PER_DOMAIN, IN_ALL, MAX_LINE = 50, 3000, 4096
local FOREVER = math.huge

---@class eddy.http.Cookie
---@field name string
---@field value string
---@field domain string
---@field path string
---@field host_only boolean
---@field secure boolean
---@field http_only boolean
---@field expires number             of os.time; math.huge: as long as the jar lives
---@field private made_ integer      order of making
---@field private used_ integer      order of the last use

---@class eddy.http.Jar
---@field private cookies_ eddy.http.Cookie[]
local Jar = {}
local jar_meta = { __name = "eddy.http.Jar", __index = Jar }

-- ---- Dates -------------------------------------------------------------------------------------

local MONTHS = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10, nov = 11, dec = 12 }

--- Seconds since 1970 of a day in UTC, without the process's time zone.
local function days_from_civil(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (m + (m > 2 and -3 or 9)) + 2) // 5 + d - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

--- What one word of a date says, if that is not known yet (RFC 6265, 5.1.1).
local function take_word(date, word)
  local h, m, s = word:match("^(%d%d?):(%d%d?):(%d%d?)%f[^%d]")
  if h and not date.h then
    date.h, date.m, date.s = tonumber(h), tonumber(m), tonumber(s)
    return
  end
  local day = word:match("^(%d%d?)%f[^%d]")
  if day and not date.day then date.day = tonumber(day) return end
  local month = MONTHS[word:sub(1, 3):lower()]
  if month and not date.month then date.month = month return end
  local year = word:match("^(%d%d%d?%d?)%f[^%d]")
  if year and not date.year then
    year = tonumber(year)
    date.year = year < 70 and year + 2000 or year < 100 and year + 1900 or year
  end
end

--- A date as servers write it, in seconds since 1970, or nil.
local function parse_date(text)
  local date = {}
  for word in text:gmatch("[^\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+") do take_word(date, word) end
  if not (date.h and date.day and date.month and date.year) then return nil end
  if date.day < 1 or date.day > 31 or date.year < 1601 or date.h > 23 or date.m > 59 or date.s > 59 then return nil end
  return days_from_civil(date.year, date.month, date.day) * 86400 + date.h * 3600 + date.m * 60 + date.s
end

-- ---- Domains and paths -------------------------------------------------------------------------

local function is_address(host)
  return host:find(":", 1, true) ~= nil or host:find("^%d+%.%d+%.%d+%.%d+$") ~= nil
end

local REGISTRIES = { co = true, com = true, org = true, net = true, edu = true, gov = true, ac = true, mil = true,
  gob = true, gouv = true, ne = true, ["or"] = true, go = true }

local function is_public(domain)
  local known = core.is_public_suffix(domain)
  if known ~= nil then return known end
  local second, top = domain:match("^([^%.]+)%.([^%.]+)$")
  if not second then return not domain:find(".", 1, true) end
  return #top == 2 and REGISTRIES[second] or false
end

local function domain_matches(host, domain)
  if host == domain then return true end
  return host:sub(-#domain - 1) == "." .. domain and not is_address(host)
end

local function path_matches(path, own)
  if path:sub(1, #own) ~= own then return false end
  return #path == #own or own:sub(-1) == "/" or path:sub(#own + 1, #own + 1) == "/"
end

local function default_path(path)
  return path:match("^(/.*)/[^/]*$") or "/"
end

-- ---- Set-Cookie --------------------------------------------------------------------------------

local function trim(text) return (text:match("^[ \t]*(.-)[ \t]*$")) end

local TAKE = {
  expires = function(cookie, text) cookie.date_ = parse_date(text) or cookie.date_ end,
  ["max-age"] = function(cookie, text)
    if not text:find("^%-?%d+$") then return end
    local seconds = tonumber(text)
    cookie.age_ = seconds <= 0 and -math.huge or os.time() + seconds
  end,
  domain = function(cookie, text) cookie.domain = text:gsub("^%.", ""):lower() end,
  path = function(cookie, text) cookie.path = text:sub(1, 1) == "/" and text or nil end,
  secure = function(cookie) cookie.secure = true end,
  httponly = function(cookie) cookie.http_only = true end,
}

--- Name, value and attributes of a Set-Cookie field, or nil.
local function parse_line(line)
  if #line > MAX_LINE or line:find("[%z\1-\8\10-\31\127]") then return nil end
  local pair, rest = line:match("^([^;]*)(.*)$")
  local name, value = pair:match("^([^=]*)=(.*)$")
  if not name or trim(name) == "" then return nil end
  local cookie = { name = trim(name), value = trim(value), secure = false, http_only = false }
  for item in rest:gmatch(";([^;]*)") do
    local key, text = item:match("^([^=]*)=?(.*)$")
    local take = TAKE[trim(key):lower()]
    if take then take(cookie, trim(text)) end
  end
  cookie.expires = cookie.age_ or cookie.date_ or FOREVER
  cookie.age_, cookie.date_ = nil, nil
  return cookie
end

--- Settle who owns a cookie that came from this host; false: it is refused.
local function settle_domain(cookie, host)
  local domain = cookie.domain ~= "" and cookie.domain or nil
  if domain and is_public(domain) then
    if domain ~= host then return false end
    domain = nil
  end
  if domain and not domain_matches(host, domain) then return false end
  cookie.host_only, cookie.domain = domain == nil or is_address(host), domain or host
  return true
end

--- Prefixes that promise something (RFC 6265bis, 4.1.3).
local function keeps_promise(cookie)
  local name = cookie.name:lower()
  if name:sub(1, 9) == "__secure-" then return cookie.secure end
  if name:sub(1, 7) == "__host-" then return cookie.secure and cookie.host_only and cookie.path == "/" end
  return true
end

-- ---- Jars --------------------------------------------------------------------------------------

local function parse_url(text)
  local parts = core.url.parse(text)
  if not parts then misuse.raise "not an http address" end
  return parts, parts.target:match("^[^?]*")
end

local function is_same(a, b)
  return a.name == b.name and a.domain == b.domain and a.path == b.path and a.host_only == b.host_only
end

function Jar:tick_()
  self.clock_ = self.clock_ + 1
  return self.clock_
end

local function remove_where(self, wants)
  local kept = {}
  for _, cookie in ipairs(self.cookies_) do
    if not wants(cookie) then kept[#kept + 1] = cookie end
  end
  self.cookies_ = kept
end

--- Make room: of those that `counts`, at most `max` stay.
local function limit(self, max, counts)
  local n, oldest = 0, nil
  for _, cookie in ipairs(self.cookies_) do
    if counts(cookie) then
      n = n + 1
      if not oldest or cookie.used_ < oldest.used_ then oldest = cookie end
    end
  end
  if n > max then remove_where(self, function(cookie) return cookie == oldest end) end
end

--- Keep what a server at `url` says in one Set-Cookie field. False where that is refused.
---@param url string
---@param line string
---@return boolean kept
function Jar:store(url, line)
  local parts, path = parse_url(url)
  local cookie = parse_line(line)
  if not cookie or not settle_domain(cookie, parts.host) then return false end
  cookie.path = cookie.path or default_path(path)
  if cookie.secure and parts.scheme ~= "https" or not keeps_promise(cookie) then return false end
  cookie.made_ = self:tick_()
  cookie.used_ = cookie.made_
  for _, old in ipairs(self.cookies_) do
    if is_same(old, cookie) then
      if old.secure and parts.scheme ~= "https" then return false end
      cookie.made_ = old.made_
    end
  end
  local now = os.time()
  remove_where(self, function(old) return is_same(old, cookie) or old.expires <= now end)
  if cookie.expires <= now then return true end
  table.insert(self.cookies_, cookie)
  limit(self, PER_DOMAIN, function(other) return other.domain == cookie.domain end)
  limit(self, IN_ALL, function() return true end)
  return true
end

local function fits(cookie, parts, path, now)
  if cookie.expires <= now or cookie.secure and parts.scheme ~= "https" then return false end
  if not path_matches(path, cookie.path) then return false end
  if cookie.host_only then return parts.host == cookie.domain end
  return domain_matches(parts.host, cookie.domain)
end

--- The value of the Cookie field for a request to `url`; nil for none.
---@param url string
---@return string?
function Jar:header(url)
  if #self.cookies_ == 0 then return nil end
  local parts, path = parse_url(url)
  local found, now, tick = {}, os.time(), self:tick_()
  for _, cookie in ipairs(self.cookies_) do
    if fits(cookie, parts, path, now) then
      cookie.used_ = tick
      found[#found + 1] = cookie
    end
  end
  if #found == 0 then return nil end
  table.sort(found, function(a, b)
    if #a.path ~= #b.path then return #a.path > #b.path end
    return a.made_ < b.made_
  end)
  for i, cookie in ipairs(found) do found[i] = cookie.name .. "=" .. cookie.value end
  return table.concat(found, "; ")
end

--- The cookies that have not expired, oldest first; copies.
---@return eddy.http.Cookie[]
function Jar:list()
  local list, now = {}, os.time()
  for _, cookie in ipairs(self.cookies_) do
    if cookie.expires > now then
      local copy = {}
      for name, value in pairs(cookie) do
        if name:sub(-1) ~= "_" then copy[name] = value end
      end
      list[#list + 1] = copy
    end
  end
  return list
end

--- Forget all cookies.
function Jar:clear() self.cookies_ = {} end

--- A jar for the option `cookies` of requests and clients.
---@return eddy.http.Jar
function cookies.jar()
  return setmetatable({ cookies_ = {}, clock_ = 0 }, jar_meta)
end

-- ---- The option --------------------------------------------------------------------------------

--- The jar that a request uses: its own, or the client's, also beside cookies given with the request.
---@param own table|boolean|nil      options `cookies` of the request
---@param kept table|boolean|nil     and of the client
---@return eddy.http.Jar?
function cookies.jar_of(own, kept)
  if own == false then return nil end
  if getmetatable(own) == jar_meta then return own end
  return getmetatable(kept) == jar_meta and kept or nil
end

--- The Cookie field for a map, names sorted; nil for none, or `nil, err`.
---@return string?
---@return eddy.Error?
function cookies.field_of(option)
  if type(option) ~= "table" then return nil end
  if getmetatable(option) == jar_meta then return nil end
  local names, pairs_of = {}, {}
  for name in pairs(option) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local value = tostring(option[name])
    if not core.http.is_token(name) then return misuse.invalid("invalid cookie name", name) end
    if value:find("[%c;]") then return misuse.invalid("invalid byte in the value of cookie " .. name) end
    pairs_of[i] = name .. "=" .. value
  end
  if #names == 0 then return nil end
  return table.concat(pairs_of, "; ")
end

return cookies
