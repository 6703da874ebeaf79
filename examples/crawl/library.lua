-- SPDX-License-Identifier: MIT
-- What the demonstration crawls: the text files of a folder as pages that link to each other.
--
-- The folder is the package documentation of a Debian system, or else the repository around this
-- file. "/" links to one page for each initial letter, those link to the files, and HTML files link
-- as they always did. Where there are fewer files than pages wanted, texts are cut into sections, each
-- of which names the next one in a Link header. Nothing is made up, and files are read when asked for.
--
-- Plain Lua cannot list a folder, so `open` runs `find`: call it before `eddy.run` or in its first
-- moment, as it blocks for that long.

local library = {}

---@class crawl.Library
---@field folder string
---@field listed string[]          what the index links to: URL paths, with "?part=2" for sections
---@field sections table<string, integer[]>     URL path -> where its sections begin, if it was cut
---@field private files table<string, string>   URL path -> file
---@field private letters string[]
local Library = {}
Library.__index = Library

local DEBIAN = "/usr/share/doc"
local DEBIAN_NAMES = { "copyright", "*.html", "*.htm", "*.txt", "*.md", "README*", "NEWS*", "AUTHORS*", "TODO*", "changelog*" }
local SOURCE_NAMES = { "*.md", "*.lua", "*.c", "*.h", "*.sh", "Makefile", "LICENSE" }
local LARGEST, SMALLEST = 16384, 512   -- bytes of a section
local MAX_FILE = "128k"

-- ---- Files -------------------------------------------------------------------------------------

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- The text files below `folder` with one of these names, sorted.
local function list_files(folder, names)
  local tests = {}
  for i, name in ipairs(names) do tests[i] = "-name " .. quote(name) end
  local command = ("cd %s 2>/dev/null && find . \\( -name '.?*' -o -name build \\) -prune"
    .. " -o -type f ! -name '*.gz' -size -%s \\( %s \\) -print 2>/dev/null | LC_ALL=C sort")
    :format(quote(folder), MAX_FILE, table.concat(tests, " -o "))
  local pipe <close> = assert(io.popen(command))
  local files = {}
  for path in pipe:lines() do files[#files + 1] = path:sub(2) end
  return files
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

local function escape_path(path)
  return (path:gsub("[^%w/._~+@,:-]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

local function escape_html(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local TYPES = { html = "text/html", htm = "text/html" }

local function type_of(path)
  return TYPES[path:match("%.(%w+)$")] or "text/plain"
end

-- ---- Sections ----------------------------------------------------------------------------------

--- Where the sections of a text begin: each behind the first line end after `size` bytes.
local function cut(text, size)
  local begins, at = { 1 }, 1
  while true do
    local stop = text:find("\n", at + size, true)
    if not stop or stop == #text then return begins end
    at = stop + 1
    begins[#begins + 1] = at
  end
end

--- Cut all texts into sections of about `size` bytes.
---@return table<string, integer[]> sections   those of more than one section
---@return string[] listed
local function cut_all(names, texts, size)
  local sections, listed = {}, {}
  for _, name in ipairs(names) do
    listed[#listed + 1] = name
    local begins = type_of(name) == "text/plain" and cut(texts[name], size) or { 1 }
    if #begins > 1 then sections[name] = begins end
    for part = 2, #begins do listed[#listed + 1] = name .. "?part=" .. part end
  end
  return sections, listed
end

--- Sections as large as possible that make at least `wanted` pages, if there is text enough.
local function cut_into(wanted, names, files)
  local texts, size = {}, LARGEST
  for _, name in ipairs(names) do texts[name] = read(files[name]) or "" end
  while true do
    local sections, listed = cut_all(names, texts, size)
    if #listed >= wanted or size <= SMALLEST then return sections, listed end
    size = size // 2
  end
end

-- ---- Pages -------------------------------------------------------------------------------------

local function html(title, links)
  local lines = { "<!doctype html>", "<title>" .. escape_html(title) .. "</title>", "<ul>" }
  for _, link in ipairs(links) do
    lines[#lines + 1] = ('<li><a href="%s">%s</a>'):format(escape_html(link), escape_html(link))
  end
  lines[#lines + 1] = "</ul>\n"
  return table.concat(lines, "\n")
end

local function letter_of(path)
  return path:match("^/(.)"):lower()
end

--- The index and the pages of the letters.
function Library:index_page(path)
  local links = {}
  if path == "/" then
    for i, letter in ipairs(self.letters) do links[i] = "/-/" .. letter end
    return { type = "text/html", body = html(self.folder, links) }
  end
  local letter = path:match("^/%-/(.)$")
  for _, listed in ipairs(self.listed) do
    if letter_of(listed) == letter then links[#links + 1] = listed end
  end
  return links[1] and { type = "text/html", body = html(letter, links) } or nil
end

--- What stands at a request target, or nil.
---@param target string     path and query
---@return {type: string, body: string, next: string?}?
function Library:page(target)
  local path, query = target:match("^([^?]*)%??(.*)$")
  local file = self.files[path]
  local text = file and read(file)
  if not text then return self:index_page(path) end
  local begins, part = self.sections[path], math.tointeger(query:match("^part=(%d+)$")) or 1
  if not begins then return { type = type_of(file), body = text } end
  local from, to = begins[part], begins[part + 1]
  if not from then return nil end
  return { type = type_of(file), body = text:sub(from, to and to - 1), next = to and path .. "?part=" .. part + 1 or nil }
end

-- ---- Opening -----------------------------------------------------------------------------------

--- Every n-th of a list, so that `wanted` remain.
local function thin_out(list, wanted)
  local kept, step = {}, #list / wanted
  for i = 1, wanted do kept[i] = list[math.floor((i - 1) * step) + 1] end
  return kept
end

local function letters_of(paths)
  local letters, seen = {}, {}
  for _, path in ipairs(paths) do
    local letter = letter_of(path)
    if not seen[letter] then letters[#letters + 1] = letter end
    seen[letter] = true
  end
  return letters
end

---@return crawl.Library
local function open_folder(folder, patterns, wanted)
  local names, files = list_files(folder, patterns), {}
  for i, name in ipairs(names) do
    names[i] = escape_path(name)
    files[names[i]] = folder .. name
  end
  local self = setmetatable({ folder = folder, files = files, listed = names, sections = {} }, Library)
  if #names > wanted then self.listed = thin_out(names, wanted) end
  if #names < wanted then self.sections, self.listed = cut_into(wanted, names, files) end
  self.letters = letters_of(self.listed)
  return self
end

--- Open the documentation of this system, or the repository at `fallback` if there is more to read.
---@param wanted integer     at least so many pages, if there is text enough
---@param fallback string
---@return crawl.Library
function library.open(wanted, fallback)
  local first = open_folder(DEBIAN, DEBIAN_NAMES, wanted)
  if #first.listed >= wanted then return first end
  local second = open_folder(fallback, SOURCE_NAMES, wanted)
  return #second.listed > #first.listed and second or first
end

return library
