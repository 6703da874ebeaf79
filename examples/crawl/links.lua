-- SPDX-License-Identifier: MIT
-- The links of a page as absolute http URLs without fragments. Enough of RFC 3986 for a crawler.

local links = {}

--- Scheme with host, path with query; nil if it is no http URL.
---@param url string
---@return string? origin
---@return string? path
function links.split(url)
  local origin, rest = url:match("^([Hh][Tt][Tt][Pp][Ss]?://[^/?#]+)([^#]*)")
  if not origin then return nil end
  if rest:sub(1, 1) ~= "/" then rest = "/" .. rest end
  return (origin:lower():gsub("^(http://.*):80$", "%1")), rest
end

--- Take `.` and `..` out of a path.
local function normalize(path)
  local query = path:match("%?.*$") or ""
  local kept = {}
  for segment in path:sub(1, #path - #query):gmatch("/([^/]*)") do
    if segment == ".." then
      kept[#kept] = nil
    elseif segment ~= "." then
      kept[#kept + 1] = segment
    end
  end
  if path:find("/%.%.?$") or path:find("/%.%.?%?") then kept[#kept + 1] = "" end
  return "/" .. table.concat(kept, "/") .. query
end

--- What `reference` on the page `base` means, or nil where that is nothing to fetch.
---@param base string
---@param reference string
---@return string?
function links.resolve(base, reference)
  reference = reference:gsub("#.*$", ""):match("^%s*(.-)%s*$")
  if reference == "" or reference:find("[%s%c]") then return nil end
  local origin, path = links.split(base)
  if reference:find("^%a[%w+.-]*:") then
    origin, path = links.split(reference)
    return origin and origin .. normalize(path)
  end
  if reference:sub(1, 2) == "//" then return links.resolve(base, origin:match("^%a+:") .. reference) end
  if reference:sub(1, 1) == "/" then return origin .. normalize(reference) end
  if reference:sub(1, 1) == "?" then return origin .. path:gsub("%?.*$", "") .. reference end
  return origin .. normalize(path:gsub("%?.*$", ""):gsub("[^/]*$", "") .. reference)
end

local ENTITIES = { ["&amp;"] = "&", ["&lt;"] = "<", ["&gt;"] = ">", ["&quot;"] = '"', ["&#39;"] = "'" }

local function add(list, seen, url)
  if url and not seen[url] then
    seen[url] = true
    list[#list + 1] = url
  end
end

local function add_hrefs(list, seen, base, body)
  for attributes in body:gmatch("<[aA]%s([^>]*)") do
    local _, reference = attributes:match("[hH][rR][eE][fF]%s*=%s*(['\"])(.-)%1")
    reference = reference or attributes:match("[hH][rR][eE][fF]%s*=%s*([^%s'\">]+)")
    if reference then add(list, seen, links.resolve(base, (reference:gsub("&[#%w]+;", ENTITIES)))) end
  end
end

--- The URLs that a response links to, each once: its `next` in the Link header, and in HTML every href.
---@param response table     of eddy.http
---@return string[]
function links.of(response)
  local list, seen = {}, {}
  for target, parameters in (response.headers["link"] or ""):gmatch("<([^>]*)>([^,]*)") do
    if parameters:find('rel="?next"?') then add(list, seen, links.resolve(response.url, target)) end
  end
  if (response.headers["content-type"] or ""):find("^text/html") then add_hrefs(list, seen, response.url, response.body) end
  return list
end

return links
