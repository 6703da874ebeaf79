-- SPDX-License-Identifier: MIT
-- Content types by extension, and the dates of HTTP.
local mime = {}

local TYPES = {
  html = "text/html; charset=utf-8", htm = "text/html; charset=utf-8", css = "text/css; charset=utf-8",
  js = "text/javascript; charset=utf-8", mjs = "text/javascript; charset=utf-8", json = "application/json",
  map = "application/json", txt = "text/plain; charset=utf-8", md = "text/markdown; charset=utf-8",
  lua = "text/plain; charset=utf-8", csv = "text/csv; charset=utf-8", xml = "application/xml",
  svg = "image/svg+xml", png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif",
  webp = "image/webp", avif = "image/avif", ico = "image/x-icon", woff = "font/woff", woff2 = "font/woff2",
  ttf = "font/ttf", otf = "font/otf", pdf = "application/pdf", wasm = "application/wasm", zip = "application/zip",
  gz = "application/gzip", tar = "application/x-tar", mp3 = "audio/mpeg", ogg = "audio/ogg", wav = "audio/wav",
  mp4 = "video/mp4", webm = "video/webm",
}

--- The content type of a file's name.
---@param path string
---@return string
function mime.type_of(path)
  local extension = path:match "%.([%w]+)$"
  return extension and TYPES[extension:lower()] or "application/octet-stream"
end

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local NUMBER = {}
for i, name in ipairs(MONTHS) do NUMBER[name] = i end

--- "Sun, 06 Nov 1994 08:49:37 GMT". Not by "%a" and "%b": those follow the locale.
---@param time integer
---@return string
function mime.format_date(time)
  local t = os.date("!*t", time)
  return ("%s, %02d %s %04d %02d:%02d:%02d GMT"):format(
    DAYS[t.wday], t.day, MONTHS[t.month], t.year, t.hour, t.min, t.sec)
end

--- Days since 1970 of a date of the Gregorian calendar.
local function days_of(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = year // 400
  local of_era = year - era * 400
  local of_year = (153 * (month + (month > 2 and -3 or 9)) + 2) // 5 + day - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

--- The three forms that RFC 9110 wants understood.
local FORMS = {
  { "^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$", 1, 2, 3, 4, 5, 6 },
  { "^%a+, (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$", 1, 2, 3, 4, 5, 6 },
  { "^%a%a%a (%a%a%a) ([ %d]%d) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$", 2, 1, 6, 3, 4, 5 },
}

--- Seconds since 1970 of a date of HTTP, or nil.
---@param text string
---@return integer?
function mime.parse_date(text)
  for _, form in ipairs(FORMS) do
    local part = { text:match(form[1]) }
    if part[1] then
      local day, month, year = tonumber(part[form[2]]), NUMBER[part[form[3]]], tonumber(part[form[4]])
      local hour, min, sec = tonumber(part[form[5]]), tonumber(part[form[6]]), tonumber(part[form[7]])
      if not month or day < 1 or day > 31 or hour > 23 or min > 59 or sec > 60 then return nil end
      if year < 100 then year = year + (year < 70 and 2000 or 1900) end
      return days_of(year, month, day) * 86400 + hour * 3600 + min * 60 + sec
    end
  end
end

return mime
