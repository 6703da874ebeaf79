-- SPDX-License-Identifier: MIT
-- Is the rockspec still true?   lua tools/rockspec.lua ROCKSPEC LUA_FILE...
-- The files given are those that `make rock-install` copies; every file under lua/ must be one.

local path = assert(arg[1], "usage: rockspec.lua ROCKSPEC LUA_FILE...")
local failures = 0

local function expect(ok, message, ...)
  if ok then return end
  failures = failures + 1
  io.write(path, ":1: ", message:format(...), "\n")
end

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  return list
end

local spec = {}
assert(loadfile(path, "t", spec))()

expect(path:match("([^/]+)%.rockspec$") == spec.package .. "-" .. spec.version, "file name and version differ")
expect(spec.rockspec_format == "3.0", "rockspec_format is not 3.0")
expect(spec.build.type == "make", "build.type is not make")

local makefile <close> = assert(io.open("Makefile"))
local rules = "\n" .. makefile:read("a")
for _, field in ipairs { "build_target", "install_target" } do
  local target = spec.build[field]
  expect(rules:find("\n" .. target:gsub("%-", "%%-") .. ":"), "%s %s is no target of the Makefile", field, target)
end

local installed = {}
for i = 2, #arg do installed[arg[i]] = true end
for _, file in ipairs(lines_of("find lua -name '*.lua' | sort")) do
  expect(installed[file], "%s would not be installed", file)
end
if failures > 0 then os.exit(false) end
