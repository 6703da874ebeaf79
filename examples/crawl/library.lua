-- SPDX-License-Identifier: MIT
-- What the demonstration crawls: the text files of a folder as pages that link to each other.
--
-- The folder is the package documentation of a Debian system, or else the repository around this
-- file. "/" links to one page for each initial letter, those link to the files, and HTML files link
-- as they always did. Where there are fewer files than pages wanted, they are cut into sections, each
-- of which names the next one in a Link header. Nothing is made up, and files are read when asked for.
--
-- Plain Lua cannot list a folder, so `open` runs `find`: call it before `eddy.run` or in its first
-- moment, as it blocks for that long.

local library = {}

---@class crawl.Library
---@field folder string
---@field is_debian boolean
---@field listed string[]          URL paths that the index links to
---@field section number           bytes of a section; math.huge: files are whole
---@field private files table<string, string>   URL path -> file
---@field private letters string[]
local Library = {}
Library.__index = Library

local DEBIAN = "/usr/share/doc"
local DEBIAN_NAMES = { "copyright", "*.html", "*.htm", "*.txt", "*.md", "README*", "NEWS*", "AUTHORS*", "TODO*", "changelog*" }
local SOURCE_NAMES = { "*.md", "*.lua", "*.c", "*.h", "*.sh", "Makefile", "LICENSE" }
local FEW = 20             -- fewer files than this are no documentation folder
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
  local command = ("find %s -type f ! -name '*.gz' ! -path '*/.*' ! -path '*/build/*' -size -%s \\( %s \\) 2>/dev/null | LC_ALL=C sort")
    :format(quote(folder), MAX_FILE, table.concat(tests, " -o "))
  local pipe <close> = assert(io.popen(command))
  local files = {}
  for path in pipe:lines() do files[#files + 1] = path end
  return files
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

local function size_of(path)
  local file <close> = io.open(path, "rb")
  return file and file:seek("end") or 0
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

--- Where section `part` of a text begins: behind the first line end at or after its share.
local function begin_of(text, part, size)
  if part == 1 then return 1 end
  local at = text:find("\n", (part - 1) * size, true)
  return at and at + 1 or #text + 1
end

--- The largest section size that makes at least `wanted` pages of these files.
local function choose_section(sizes, wanted)
  local section = LARGEST
  while section > SMALLEST do
    local pages = 0
    for _, size in ipairs(sizes) do pages = pages + math.ceil(size / section) end
    if pages >= wanted then break end
    section = section // 2
  end
  return section
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
  local kind = type_of(file)
  if self.section == math.huge or kind == "text/html" then return { type = kind, body = text } end
  local part = math.tointeger(query:match("^part=(%d+)$")) or 1
  local from, to = begin_of(text, part, self.section), begin_of(text, part + 1, self.section)
  if from > #text then return nil end
  return { type = kind, body = text:sub(from, to - 1), next = to <= #text and path .. "?part=" .. part + 1 or nil }
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

--- Open the documentation of this system, or the repository at `fallback`.
---@param wanted integer     at least so many pages, if there is text enough
---@param fallback string
---@return crawl.Library
function library.open(wanted, fallback)
  local folder, paths = DEBIAN, list_files(DEBIAN, DEBIAN_NAMES)
  if #paths < FEW then folder, paths = fallback, list_files(fallback, SOURCE_NAMES) end
  local self = setmetatable({ folder = folder, is_debian = folder == DEBIAN, files = {}, listed = {}, section = math.huge }, Library)
  local sizes = {}
  for i, path in ipairs(paths) do
    local name = escape_path(path:sub(#folder + 1))
    self.files[name], self.listed[i] = path, name
    sizes[i] = #paths < wanted and size_of(path) or nil
  end
  if #paths > wanted then self.listed = thin_out(self.listed, wanted) end
  if #paths < wanted then self.section = choose_section(sizes, wanted) end
  self.letters = letters_of(self.listed)
  return self
end

return library
