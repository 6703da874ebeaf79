-- SPDX-License-Identifier: MIT
-- Does the manual page say what the program does?   lua tools/manpage.lua PAGE CLI.lua
-- Each option in the program's usage and flags is one in the page, and the other way round. What `man` and
-- `mandoc` complain about is printed, where they are installed.

local page_path, cli_path = assert(arg[1], "usage: manpage.lua PAGE CLI.lua"), assert(arg[2])
local failures = 0

local function complain(path, ...)
  failures = failures + 1
  io.write(path, ":1: ", string.format(...), "\n")
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- The options of the page: `.B \-i` and `.BI \-e " stat"`.
local function options_of_page(text)
  local found = {}
  local options = text:match "\n%.SH OPTIONS\n(.-)\n%.SH "
  for line in options:gmatch "\n%.BI? ([^\n]+)" do
    local option = line:gsub("\\%-", "-"):match "^%-[%-%w]*"
    if option then found[option] = true end
  end
  return found
end

local function options_of_program(text)
  local found = {}
  local usage = text:match "USAGE = %[=%[(.-)%]=%]"
  for option in usage:gmatch "\n  (%-[%-%w]*)" do found[option] = true end
  for option in text:match "FLAGS = (%b{})":gmatch '%["(%-[%-%w]*)"%]' do found[option] = true end
  return found
end

local in_page, in_program = options_of_page(read(page_path)), options_of_program(read(cli_path))
for option in pairs(in_program) do
  if not in_page[option] then complain(page_path, "option %s of the program is not described", option) end
end
for option in pairs(in_page) do
  if not in_program[option] then complain(page_path, "the program has no option %s", option) end
end

local function complaints(program, command)
  if not os.execute("command -v " .. program .. " >/dev/null 2>&1") then return end
  local pipe <close> = assert(io.popen(command:format(page_path)))
  for line in pipe:lines() do complain(page_path, "%s: %s", program, line) end
end
complaints("man", "LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z %s 2>&1 >/dev/null")
complaints("mandoc", "mandoc -T lint -W warning %s 2>&1")
if failures > 0 then os.exit(false) end
