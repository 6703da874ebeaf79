-- SPDX-License-Identifier: MIT
-- Make docs/reference from the annotations of the sources.   lua tools/reference.lua [--check]
-- With --check nothing is written; the exit status says whether the pages are up to date.
package.path = "./?.lua;" .. package.path
local annotations = require "tools.annotations"

local FOLDER = "docs/reference/"

-- Which sources make which page, and how a page calls the tables and classes of its sources.
local PAGES = dofile "tools/reference_pages.lua"

local function signature(fn, owner)
  return ("%s%s%s(%s)"):format(owner, fn.is_method and ":" or ".", fn.name, fn.arguments)
end

local function escape(text) return (text:gsub("|", "\\|")) end

local function add(lines, format, ...) lines[#lines + 1] = format:format(...) end

local function add_rows(lines, heading, rows)
  if #rows == 0 then return end
  add(lines, "%s", "")
  add(lines, "| %s | type | |", heading)
  add(lines, "%s", "|---|---|---|")
  for _, row in ipairs(rows) do
    local name = row.name ~= "" and "`" .. row.name .. (row.optional and "?" or "") .. "`" or ""
    add(lines, "| %s | `%s` | %s |", name, escape(row.type), escape(row.text))
  end
end

local function add_function(lines, fn, owner)
  add(lines, "### `%s`%s\n", signature(fn, owner), fn.is_async and " (awaits)" or "")
  if fn.text ~= "" then add(lines, "%s", fn.text) end
  add_rows(lines, "parameter", fn.parameters)
  add_rows(lines, "result", fn.returns)
  add(lines, "%s", "")
end

local function add_class(lines, class)
  add(lines, "## %s\n", class.name)
  if class.text ~= "" then add(lines, "%s", class.text) end
  add_rows(lines, "field", class.fields)
  add(lines, "%s", "")
end

--- The functions of all sources by what they belong to, and the classes, in order of appearance.
local function gather(page)
  local classes, functions, order = {}, {}, {}
  local function section(name)
    if not functions[name] then
      functions[name] = {}
      order[#order + 1] = name
    end
    return functions[name]
  end
  for _, path in ipairs(page.sources) do
    local found = annotations.read(path)
    for _, class in ipairs(found.classes) do
      local known = classes[class.name]
      if not known or #class.fields + #class.text > #known.fields + #known.text then classes[class.name] = class end
      section(class.name)
    end
    for _, fn in ipairs(found.functions) do
      if fn.name:match "_$" or fn.name:match "^__" then goto continue end   -- for ourselves
      table.insert(section(found.names[fn.owner] or page.modules and page.modules[fn.owner] or fn.owner), fn)
      ::continue::
    end
  end
  return classes, functions, order
end

local function render(page)
  local classes, functions, order = gather(page)
  local lines = { "# " .. page.title, "", "<!-- made by tools/reference.lua from the annotations; change those -->", "", page.text, "" }
  for _, name in ipairs(order) do
    if page.hidden and page.hidden[name] then goto continue end
    if classes[name] then add_class(lines, classes[name]) elseif #functions[name] > 0 then add(lines, "## %s\n", name) end
    local called = page.objects and page.objects[name] or name:match "([%w_]+)$"
    for _, fn in ipairs(functions[name]) do add_function(lines, fn, called) end
    ::continue::
  end
  return (table.concat(lines, "\n"):gsub("\n\n\n+", "\n\n"):gsub("%s*$", "\n"))
end

local function read(path)
  local file <close> = io.open(path)
  return file and file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

local is_check, stale = arg[1] == "--check", 0
for _, page in ipairs(PAGES) do
  local path, text = FOLDER .. page.name .. ".md", render(page)
  if read(path) ~= text then
    stale = stale + 1
    if is_check then print(path .. ": not up to date; run make reference") else write(path, text) end
  end
end
os.exit(not is_check or stale == 0)
