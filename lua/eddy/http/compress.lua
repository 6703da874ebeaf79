-- SPDX-License-Identifier: MIT
-- gzip for answers: which ones, for whom, and what their headers say then (RFC 9110, 8.4 and 12.5).
--
-- An answer may be coded when its type is one that gains by it, it is not small, and its handler did not
-- say otherwise: a Content-Encoding, a range, a digest or `Cache-Control: no-transform` leave it as it is.
-- Such answers say `Vary: Accept-Encoding` to everybody. They are coded for peers that want gzip at least as much
-- as the plain text; then a strong ETag becomes a weak one, since the bytes are not those it was made for.
--
-- What is coded tells its size to whoever sees the wire. Where an answer holds a secret beside something that
-- a stranger can choose, that can give the secret away (BREACH): `compress = false` for such answers.
local eddy = require "eddy"
local core = require "eddy.core"
local misuse = require "eddy.http.misuse"

local gzip = core.coding.gzip

local compress = {}

local SLICE = 65536          -- bytes that are coded at once
local TURN = 4 * SLICE       -- after which others get a turn
local LEVEL, MIN_SIZE = 5, 1024

-- Types that gain; all of text/, +json and +xml do too. No events: they are small, and each stream of them
-- would hold a quarter of a megabyte for its coder.
local TYPES = {
  "text/*", "*+json", "*+xml", "application/json", "application/javascript", "application/ecmascript", "application/xml",
  "application/x-ndjson", "application/wasm", "application/rtf", "font/ttf", "font/otf", "image/bmp", "image/x-icon",
}
local NEVER = { ["text/event-stream"] = true }

-- ---- Options -----------------------------------------------------------------------------------

---@class eddy.http.CompressOptions
---@field level integer?             1 (fast) to 9 (small); default 5
---@field min_size integer?          bytes below which a whole body is sent as it is; default 1024
---@field types string[]?            instead of the usual ones: "a/b", "a/*" or "*+suffix"

---@class eddy.http.Compression
---@field level integer
---@field min_size number
---@field exact table<string, true>
---@field families table<string, true>  "text"
---@field suffixes table<string, true>  "json"

local OPTIONS = { level = "number", min_size = "number", types = "table" }

local function check_options(options)
  for name, value in pairs(options) do
    if not OPTIONS[name] then misuse.raise("compress: unknown field '%s'", tostring(name)) end
    misuse.check_type("compress." .. name, value, OPTIONS[name])
  end
  local level = options.level or LEVEL
  if math.type(level) ~= "integer" or level < 1 or level > 9 then misuse.raise "compress.level: 1 to 9 expected" end
  misuse.check_number("compress.min_size", options.min_size or 0)
end

local function sort_types(self, types)
  for i, name in ipairs(types) do
    misuse.check_type("compress.types[" .. i .. "]", name, "string")
    local family, suffix = name:lower():match "^([^/*]+)/%*$", name:lower():match "^%*%+([^/*]+)$"
    if not (family or suffix or name:find "^[^/*%s]+/[^/*%s]+$") then
      misuse.raise("compress.types[%d]: 'a/b', 'a/*' or '*+suffix' expected, got '%s'", i, name)
    end
    if family then self.families[family] = true
    elseif suffix then self.suffixes[suffix] = true
    else self.exact[name:lower()] = true end
  end
end

--- What an option `compress` means: nil, true or a table are settings, false is nil.
---@param option boolean|eddy.http.CompressOptions|nil
---@return eddy.http.Compression?
function compress.settings(option)
  if option == false then return nil end
  if option == nil or option == true then option = {} end
  if type(option) ~= "table" then misuse.raise("compress: boolean or table expected, got %s", type(option)) end
  check_options(option)
  local self = {
    level = option.level or LEVEL, min_size = option.min_size or MIN_SIZE, exact = {}, families = {}, suffixes = {},
  }
  sort_types(self, option.types or TYPES)
  if option.types then self.takes_events = self.exact["text/event-stream"] end
  return self
end

--- Whole bodies of so many bytes and fewer are never coded; nil: none is.
---@param settings eddy.http.Compression?
---@return integer?
function compress.most_uncoded(settings)
  local size = settings and settings.min_size or math.huge
  return size < math.maxinteger and math.max(math.ceil(size) - 1, 0) or nil
end

-- ---- Who wants it ------------------------------------------------------------------------------

--- The weight of one element of Accept-Encoding, 0 to 1; nil for what is none.
local function weight_of(parameters)
  if parameters == "" then return 1 end
  local text = parameters:match "^%s*;%s*[Qq]=([%d%.]+)%s*$"
  if not text or not (text:find "^0%.?%d?%d?%d?$" or text:find "^1%.?0?0?0?$") then return nil end
  return tonumber(text)
end

--- Does a peer with this Accept-Encoding want gzip, and at least as much as the plain bytes?
---@param field string?
---@return boolean
function compress.is_wanted(field)
  if not field then return false end
  local coded, plain, others
  for element in field:gmatch "[^,]+" do
    local name, parameters = element:match "^%s*([^%s;]+)%s*(.-)%s*$"
    local weight = name and weight_of(parameters)
    name = weight and name:lower()
    if name == "gzip" or name == "x-gzip" then coded = math.max(coded or 0, weight)
    elseif name == "identity" then plain = weight
    elseif name == "*" then others = weight end
  end
  coded = coded or others or 0
  return coded > 0 and coded >= (plain or 0)
end

-- ---- What gains --------------------------------------------------------------------------------

local function gains(settings, kind)
  local name = kind:lower():match "^%s*([^;%s]*)"
  if NEVER[name] then return settings.takes_events or false end
  if settings.exact[name] or settings.families[name:match "^[^/]*"] then return true end
  local suffix = name:match "%+([^%+]+)$"
  return suffix and settings.suffixes[suffix] or false
end

local BARE = { [204] = true, [205] = true, [206] = true, [304] = true }   -- and 1xx, which handlers do not send
local LEAVE = { "content-encoding", "content-range", "content-digest", "repr-digest", "digest", "content-md5" }

local function is_fit(settings, status, merged)
  local kind = merged["content-type"]
  if BARE[status] or not kind or not gains(settings, tostring(kind[2])) then return false end
  for _, name in ipairs(LEAVE) do
    if merged[name] then return false end
  end
  local cache = merged["cache-control"]
  return not (cache and table.concat(cache, ",", 2):lower():find("no-transform", 1, true))
end

local function add_vary(merged)
  local vary = merged.vary
  if not vary then
    merged.vary = { "Vary", "Accept-Encoding" }
    return
  end
  local names = table.concat(vary, ", ", 2)
  local listed = "," .. names:lower():gsub("%s", "") .. ","
  if listed:find(",*,", 1, true) or listed:find(",accept-encoding,", 1, true) then return end
  merged.vary = { vary[1], names .. ", Accept-Encoding" }
end

--- Is this answer to be coded? Its headers (as `headers.merge` makes them) are told that it may be.
---@param req eddy.http.Request
---@param status integer
---@param merged table
---@param size number?               of the body, where that is known
---@return boolean
function compress.is_due(req, status, merged, size)
  local settings = req.compress_
  if not settings or size and size < settings.min_size or not is_fit(settings, status, merged) then return false end
  add_vary(merged)
  return req.minor > 0 and compress.is_wanted(table.concat(req.headers:all "accept-encoding", ","))
end

--- The headers of an answer that is coded.
function compress.mark(merged)
  local etag = merged.etag
  merged["content-encoding"] = { "Content-Encoding", "gzip" }
  merged["accept-ranges"] = nil
  if etag and tostring(etag[2]):sub(1, 1) == '"' then merged.etag = { etag[1], "W/" .. etag[2] } end
end

-- ---- Coding ------------------------------------------------------------------------------------

--- A coder: `feed`, `flush`, `finish`, `close`; a `<close>` value.
function compress.encoder(req) return gzip(req.compress_.level) end

--- A whole body, coded; nil where that is no smaller.
---@async
---@param req eddy.http.Request
---@param bytes string
---@return string?
function compress.all(req, bytes)
  local encoder <close> = compress.encoder(req)
  local pieces = {}
  for at = 1, #bytes, SLICE do
    if at > 1 and (at - 1) % TURN == 0 then eddy.sleep(0) end
    pieces[#pieces + 1] = encoder:feed(bytes:sub(at, at + SLICE - 1))
  end
  pieces[#pieces + 1] = encoder:finish()
  local coded = table.concat(pieces)
  return #coded < #bytes and coded or nil
end

--- Slices of a piece, so that a large one is not coded in one go.
---@param bytes string
---@return fun(): string?
function compress.slices(bytes)
  local at = 1
  return function()
    if at > #bytes then return nil end
    at = at + SLICE
    return #bytes <= SLICE and bytes or bytes:sub(at - SLICE, at - 1)
  end
end

return compress
