-- SPDX-License-Identifier: MIT
-- Write the library as one C file.   lua tools/amalgamate.lua BUNDLE.c FILE.c... > eddy.c
--
-- Each header of ours is put where it is first needed, each source behind it. Two files may use one name for
-- things of their own: such a name gets the file's as a suffix, wherever it stands for that thing (not where it
-- is a field). What EDDY_NO_TLS and EDDY_NO_HTTP leave out stands between conditions.
package.path = "tools/?.lua;" .. package.path
local csource = require "csource"

local PUBLIC = "eddy.h"   -- lies beside the result
local OPTIONAL = {
  { macro = "EDDY_NO_TLS", "^proto/tls", "^io/tls%.c$", "^io/tls_lua%.c$" },
  { macro = "EDDY_NO_HTTP", "^io/http_", "^io/file%.c$", "^proto/http1%.c$", "^proto/chunked%.c$", "^proto/coding%.c$",
    "^bind/coding_lua%.c$", "^bind/psl_lua%.c$" },
}
local WORDS = {}
for word in ([[auto break case char const continue default do double else enum extern float for goto if inline int long
  register return short signed sizeof static struct switch typedef union unsigned void volatile while]]):gmatch "%a+" do
  WORDS[word] = true
end

-- ---- Names of a file ---------------------------------------------------------------------------

--- The identifiers that `text` (stripped of comments and directives) declares for itself at file scope.
local function add_declared(names, text)
  local function add(name) if name and not WORDS[name] then names[name] = true end end
  local flat = text:gsub("%b{}", function(body) return "{" .. (" "):rep(#body - 2) .. "}" end)
  for name in flat:gmatch "static%f[^%w_][^;{}=]-([%a_][%w_]*)%s*%(" do add(name) end
  for head in flat:gmatch "static%f[^%w_]([^;{}(]-)[=;]" do
    for part in (head .. ","):gmatch "([^,]+)," do add(part:gsub("%b[]", ""):match "([%a_][%w_]*)%s*$") end
  end
  for tag in flat:gmatch "%f[%w_]struct%s+([%a_][%w_]*)%s*{" do add(tag) end
  for tag, name in flat:gmatch "typedef%s+struct%s+([%a_][%w_]*)%s+([%a_][%w_]*)%s*;" do add(tag) add(name) end
  for name in flat:gmatch "typedef[^;{]*{%s*}%s*([%a_][%w_]*)%s*;" do add(name) end
  for body in text:gmatch "%f[%w_]enum[%s%w_]*(%b{})" do
    for item in (body:sub(2, -2) .. ","):gmatch "([^,]+)," do add(item:match "^%s*([%a_][%w_]*)") end
  end
  for body, tag in text:gmatch "%f[%w_]struct%s*[%w_]*%s*(%b{})%s*([%a_][%w_]*)" do   -- static const struct row {...} rows[]
    if body then add(tag) end
  end
end

local function macros_of(source)
  local list = {}
  for name in source:gmatch "\n%s*#%s*define%s+([%a_][%w_]*)" do list[#list + 1] = name end
  return list
end

local function without_directives(text)
  local out, continued = {}, false
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local is_directive = continued or line:match "^%s*#"
    continued = is_directive and line:match "\\%s*$" ~= nil
    out[#out + 1] = is_directive and "" or line
  end
  return table.concat(out, "\n")
end

-- ---- Renaming ----------------------------------------------------------------------------------

--- For each position of `text`: is it directly inside the braces of a struct or union?
local function struct_bodies(text)
  local spans = {}
  for from in text:gmatch "()%f[%w_]struct%f[^%w_]" do
    local open = text:match("^struct%s*[%w_]*%s*(){", from)
    if open then spans[#spans + 1] = { open, open + #text:match("%b{}", open) - 1 } end
  end
  return function(at)
    for _, span in ipairs(spans) do if at > span[1] and at < span[2] then return true end end
    return false
  end
end

--- Does the identifier at from..to stand for a field?
local function is_field(text, from, to, in_struct)
  local before, after = text:sub(math.max(from - 200, 1), from - 1), text:match("^%s*(.)", to + 1)
  if before:match "%.%s*$" and not before:match "%.%.%.%s*$" or before:match "%->%s*$" then return true end
  return in_struct(from) and after and after:match "[;,:%)]" ~= nil or in_struct(from) and after == "["
end

local function rename(source, names, suffix)
  local text = csource.strip(source)
  local in_struct, out, at = struct_bodies(text), {}, 1
  for from, name in text:gmatch "()([%a_][%w_]*)" do
    local to = from + #name - 1
    if names[name] and not is_field(text, from, to, in_struct) then
      out[#out + 1] = source:sub(at, to) .. suffix
      at = to + 1
    end
  end
  out[#out + 1] = source:sub(at)
  return table.concat(out)
end

-- ---- Putting it together -----------------------------------------------------------------------

local sources, uses = {}, {}
for i = 2, #arg do
  local path = assert(arg[i]:match "^csrc/(.*)$", arg[i])
  local names = {}
  local text = csource.read(arg[i])
  add_declared(names, without_directives(csource.strip(text)))
  for _, name in ipairs(macros_of(text)) do names[name] = nil end
  sources[#sources + 1] = { path = path, text = text, names = names, macros = macros_of(text) }
  for name in pairs(names) do uses[name] = (uses[name] or 0) + 1 end
end

local included = {}

local function read(path)
  local file <close> = io.open("csrc/" .. path, "rb")
  return file and file:read "a"
end

--- The text of a file with our headers in the places of their #include lines.
local function expand(path, text, write)
  for line in (text:gsub("\n$", "") .. "\n"):gmatch "(.-)\n" do
    local name = line:match '^%s*#%s*include%s*"([^"]+)"'
    if not name or name == PUBLIC then
      write(name and included[name] and "" or line)
      if name then included[name] = true end
    elseif name == "bundle.h" or read(name) then
      if not included[name] then
        included[name] = true
        expand(name, assert(read(name)), write)
      end
    else
      error(("%s: cannot find %s"):format(path, name))
    end
  end
end

local function condition_of(path)
  for _, part in ipairs(OPTIONAL) do
    for _, pattern in ipairs(part) do if path:find(pattern) then return part.macro end end
  end
end

local function print_line(line) io.write(line, "\n") end

--- Headers come first, all of them, so that none is lost inside a condition.
local function write_headers()
  for _, source in ipairs(sources) do
    for name in source.text:gmatch '#%s*include%s*"([^"]+)"' do
      local condition = condition_of(name)
      local is_inner = condition and name:find "inside" ~= nil   -- it needs the library that is left out
      if not included[name] then
        if is_inner then print_line("#ifndef " .. condition) end
        expand(source.path, ('#include "%s"'):format(name), print_line)
        if is_inner then print_line "#endif" end
      end
    end
  end
end

local function write_source(source)
  local condition, shared = condition_of(source.path), {}
  for name in pairs(source.names) do if uses[name] > 1 then shared[name] = true end end
  local text = rename(source.text, shared, "__" .. source.path:gsub("%.c$", ""):gsub("%W", "_"))
  if condition then print_line("#ifndef " .. condition) end
  print_line(('#line 1 "eddy/%s"'):format(source.path))
  for line in text:gmatch "([^\n]*)\n?" do
    print_line(line:match '^%s*#%s*include%s*"' and "" or line)
  end
  for _, name in ipairs(source.macros) do print_line("#undef " .. name) end
  if condition then print_line "#endif" end
end

local function version()
  return read(PUBLIC):match '#define EDDY_VERSION "([^"]+)"'
end

io.write(([[
/* SPDX-License-Identifier: MIT */
/*
** eddy %s in one file, with its Lua half inside: made by `make amalgamation`, not to be changed.
**
**   cc -std=gnu11 -c eddy.c $(pkg-config --cflags lua5.4 libuv openssl zlib)
**
** -DEDDY_NO_TLS leaves TLS out and needs no OpenSSL, -DEDDY_NO_HTTP leaves HTTP out and needs no zlib.
** With -DED_HAVE_BROTLI, -DED_HAVE_ZSTD and -DED_HAVE_PSL it uses those libraries.
*/
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "eddy.h"
]]):format(version()))
included[PUBLIC] = true
write_headers()
for _, source in ipairs(sources) do write_source(source) end
print_line(('#line 1 "%s"'):format "eddy/bundle.c")
io.write((csource.read(arg[1]):gsub('#include "bundle.h"\n', "\n")))
