-- SPDX-License-Identifier: MIT
-- Asks the questions of bench/questions.lua and prints one table.   lua5.4 bench/run.lua [NAME...]
-- Every program runs as a process of its own; each round runs all of them once, so that what slows
-- the machine for a while slows all. ROUNDS=5 rounds, medians. See bench/README.md.

local ROUNDS = math.max(1, tonumber(os.getenv "ROUNDS") or 5)
local DASH = "–"
local ROOT = arg[0]:match "^(.*)/bench/run%.lua$" or "."

-- ---- Commands ----------------------------------------------------------------------------------

local function quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

local function quoted(words)
  local list = {}
  for i, word in ipairs(words) do list[i] = quote(word) end
  return table.concat(list, " ")
end

--- Run a line of shell in the repository: its output and whether it went well.
local function shell(line)
  local pipe = assert(io.popen("cd " .. quote(ROOT) .. " && " .. line))
  local output = pipe:read "a"
  return output, pipe:close() == true
end

--- The interpreter that runs this file runs the others too.
local function interpreter()
  local lowest = 0
  while arg[lowest - 1] do lowest = lowest - 1 end
  return arg[lowest]
end

--- `env` words under which Lua programs find eddy as it lies in the build folder.
local function lua_words()
  local suffix = "_" .. _VERSION:match("%d+%.%d+"):gsub("%.", "_")
  return {
    "env",
    "LUA_PATH" .. suffix .. "=lua/?.lua;lua/?/init.lua;" .. package.path,
    "LUA_CPATH" .. suffix .. "=build/?.so;" .. package.cpath,
    interpreter(),
  }
end

local function joined(...)
  local all = {}
  for _, words in ipairs { ... } do
    for _, word in ipairs(words) do all[#all + 1] = word end
  end
  return all
end

local function exists(path)
  local file = io.open(ROOT .. "/" .. path)
  if file then file:close() end
  return file ~= nil
end

local function has_module(name)
  local code = ("require %q"):format(name)
  local _, ok = shell(quoted(joined(lua_words(), { "-e", code })) .. " >/dev/null 2>&1")
  return ok
end

local function has_program(name)
  local _, ok = shell("command -v " .. quote(name) .. " >/dev/null 2>&1")
  return ok
end

-- ---- Floors ------------------------------------------------------------------------------------

local function lua_package()
  for _, name in ipairs { os.getenv "LUA_PC" or "lua5.4", "lua5.4", "lua-5.4", "lua54", "lua" } do
    local _, ok = shell("pkg-config --exists " .. quote(name))
    if ok then return name end
  end
  return "lua5.4"
end

--- Compile the programs of bench/floor into build/bench.
local function build(names)
  local packages = quote(lua_package()) .. " libuv"
  shell "mkdir -p build/bench"
  for _, name in ipairs(names) do
    local line = ("%s -O2 -std=gnu11 -pthread $(pkg-config --cflags %s) bench/floor/%s.c -o build/bench/%s $(pkg-config --libs %s) -lm")
      :format(os.getenv "CC" or "cc", packages, name, name, packages)
    local _, ok = shell(line)
    if not ok then
      io.stderr:write("cannot compile bench/floor/", name, ".c\n")
      os.exit(1)
    end
  end
end

local FLOORS_OF = { host = {}, http = { "httpd", "nginx" }, server = { "nginx", "http_load" } }

local function floors_of(questions)
  local names, seen = {}, {}
  local function add(name)
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  add "cpu"
  for _, q in ipairs(questions) do
    for _, name in ipairs(FLOORS_OF[q.kind] or not q.eddy_alone and { q.program } or {}) do add(name) end
    if q.kind == "echo" then add "echo_client" end
  end
  return names
end

-- ---- What others bring -------------------------------------------------------------------------

--- Is a program of others here, or can the package manager bring it?
local function need(name)
  if has_program(name) then return true end
  if not os.getenv "EDDY_NO_INSTALL" then
    shell('[ "$(id -u)" = 0 ] && timeout 240 apt-get install -y --no-install-recommends ' .. quote(name) .. " >/dev/null 2>&1")
  end
  local is_here = has_program(name)
  if not is_here then io.stderr:write(name, " is not here and could not be installed: its answers are left out\n") end
  return is_here
end

--- A certificate for the loopback address, and its key, in build/bench.
local function make_certificate()
  if exists "build/bench/tls.pem" then return true end
  local _, ok = shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=bench "
    .. "-addext subjectAltName=IP:127.0.0.1 -keyout build/bench/tls.key -out build/bench/tls.pem 2>/dev/null")
  if not ok then os.remove(ROOT .. "/build/bench/tls.pem") end
  return ok
end

--- The questions that can be asked here.
local function askable(questions)
  local list, has_certificate = {}, nil
  for _, q in ipairs(questions) do
    local wants_certificate = q.scheme == "https" or q.args[2] == "build/bench/tls.pem"
    if wants_certificate and has_certificate == nil then
      has_certificate = make_certificate()
      if not has_certificate then io.stderr:write "no certificate, since openssl is missing: TLS is left out\n" end
    end
    if (not q.needs or need(q.needs)) and (has_certificate or not wants_certificate) then list[#list + 1] = q end
  end
  return list
end

-- ---- Contestants -------------------------------------------------------------------------------

local PEERS = { "lua", "luv", "cqueues", "node", "go", "asyncio", "uvloop" }
local CONTESTANTS = joined({ "floor", "eddy" }, PEERS)
local FILE = { -- where each has its programs
  eddy = "bench/eddy/%s.lua", lua = "bench/bare/%s.lua", luv = "bench/luv/%s.lua", cqueues = "bench/cqueues/%s.lua",
  node = "bench/node/%s.js", go = "bench/go/%s.go", asyncio = "bench/asyncio/%s.py", uvloop = "bench/asyncio/%s.py",
}
local HAVE = {} -- contestant -> whether it is installed

local function has_python_module(name)
  local _, ok = shell("python3 -c " .. quote("import " .. name) .. " >/dev/null 2>&1")
  return ok
end

local function look_around(questions)
  local kinds = {}
  for _, q in ipairs(questions) do kinds[q.kind or ""] = true end
  HAVE = {
    floor = true, lua = true,
    wrk = (kinds.http or kinds.server) and need "wrk", nginx = kinds.server and need "nginx", lua_http = has_module "http.client",
    eddy = has_module "eddy", luv = has_module "luv", cqueues = has_module "cqueues",
    node = has_program "node", go = has_program "go", asyncio = has_python_module "asyncio", uvloop = has_python_module "uvloop",
  }
end

--- What the peers call themselves, those that are here.
local function peer_versions()
  local said = {}
  for _, peer in ipairs { { "node", "node --version" }, { "go", "go version" }, { "asyncio", "python3 --version" } } do
    local text = HAVE[peer[1]] and shell(peer[2]):match "%d+%.[%d.]+"
    if text then said[#said + 1] = ", " .. peer[2]:match "%a+" .. " " .. text end
  end
  return table.concat(said)
end

--- Compile a program of bench/go into build/bench. What is there already is not compiled again.
local function build_go(name)
  local result = "build/bench/go_" .. name
  local _, ok = shell(("CGO_ENABLED=0 GOTOOLCHAIN=local go build -o %s bench/go/measure.go bench/go/%s.go"):format(result, name))
  if ok then return end
  io.stderr:write("cannot compile bench/go/", name, ".go\n")
  os.remove(ROOT .. "/" .. result)
end

--- Compile what Go is asked here.
local function build_peers(questions)
  local seen = {}
  for _, q in ipairs(questions) do
    if HAVE.go and not seen[q.program] and exists(FILE.go:format(q.program)) then build_go(q.program) end
    seen[q.program] = true
  end
end

--- The words that start the program in a file.
local function words_for(contestant, file, name)
  if contestant == "node" then return { "node", file } end
  if contestant == "go" then return { "build/bench/go_" .. name } end
  if contestant == "asyncio" or contestant == "uvloop" then
    return { "env", "BENCH_LOOP=" .. contestant, "python3", "-B", "bench/asyncio/measure.py", file }
  end
  return joined(lua_words(), { file })
end

--- What eddy is measured against: a program in C, wrk as a client, nginx as a server; or nothing.
local function floor_of(q)
  if q.eddy_alone then return nil end
  if q.kind == "server" then return HAVE.nginx and { "build/bench/nginx" } or nil end
  if q.kind ~= "http" then return { "build/bench/" .. q.program } end
  local url = (q.scheme or "http") .. "://127.0.0.1:{port}/"
  return HAVE.wrk and { "wrk", "-t1", "-c" .. q.args[1], "-d" .. (q.seconds or 1) .. "s", url } or nil
end

--- The words that start a contestant's program for a question, or nil if there is none.
local function program_of(contestant, q)
  if q.kind == "host" then return contestant == "eddy" and { "build/bench/" .. q.program } or nil end
  if contestant == "floor" then return floor_of(q) end
  local file = FILE[contestant]:format(q.program)
  local installed = HAVE[contestant] and (contestant ~= "cqueues" or q.kind ~= "http" or HAVE.lua_http)
    and (contestant ~= "go" or exists("build/bench/go_" .. q.program))
  return installed and exists(file) and words_for(contestant, file, q.program) or nil
end

local function command_of(contestant, q)
  local program = program_of(contestant, q)
  if not program then return nil end
  if q.kind == "echo" then return joined({ "build/bench/echo_client" }, q.args, program) end
  if q.kind == "server" then return HAVE.wrk and joined({ "build/bench/http_load" }, q.args, program) or nil end
  if q.kind ~= "http" then return joined({ "build/bench/cpu" }, program, q.args) end
  local args = contestant == "floor" and {} or joined({ "{port}" }, q.args)
  return joined({ "build/bench/cpu" }, q.origin or { "build/bench/httpd" }, { "--" }, program, args)
end

--- The numbers of an answer: those of its first line, or what wrk says in words.
local function numbers_of(output)
  local requests, rate = output:match "(%d+) requests in", output:match "Requests/sec:%s*([%d.]+)"
  if requests then return { output:match "cpu ([%d.]+)" / requests * 1e6, tonumber(rate) } end
  local numbers = {}
  for word in output:match("^[^\n]*"):gmatch "%S+" do numbers[#numbers + 1] = tonumber(word) end
  return numbers
end

local function ask(contestant, q)
  local command = command_of(contestant, q)
  if not command then return nil end
  local output, ok = shell(quoted(command))
  if ok and output ~= "" then return numbers_of(output) end
  io.stderr:write(("%s: %s failed\n"):format(q.name, contestant))
  return nil
end

-- ---- Rounds ------------------------------------------------------------------------------------

--- answers[question name][contestant][round] = numbers, with a copy of all of them in a file.
local function run_rounds(questions)
  local answers = {}
  local log = assert(io.open(ROOT .. "/build/bench/results.tsv", "w"))
  for round = 1, ROUNDS do
    io.stderr:write(("round %d of %d\n"):format(round, ROUNDS))
    for _, q in ipairs(questions) do
      local of = answers[q.name] or {}
      answers[q.name] = of
      for i = 1, #CONTESTANTS do
        local contestant = CONTESTANTS[(i + round - 2) % #CONTESTANTS + 1] -- nobody is always first
        local numbers = ask(contestant, q)
        of[contestant] = of[contestant] or {}
        of[contestant][round] = numbers
        if numbers then
          log:write(("%d\t%s\t%s\t%s\n"):format(round, q.name, contestant, table.concat(numbers, "\t")))
        end
      end
    end
  end
  log:close()
  return answers
end

local function median(values)
  if #values == 0 then return nil end
  table.sort(values)
  local middle = #values // 2
  return #values % 2 == 1 and values[middle + 1] or (values[middle] + values[middle + 1]) / 2
end

--- Number `field` of each round that has one; a negative number means that it was not to be had.
local function median_of(rounds, field)
  local values = {}
  for round = 1, ROUNDS do
    local value = rounds[round] and rounds[round][field]
    if value and value >= 0 then values[#values + 1] = value end
  end
  return median(values)
end

--- The median of the ratios, each within its round; not the ratio of two medians.
local function median_ratio(rounds, to, field)
  local values = {}
  for round = 1, ROUNDS do
    local a, b = rounds[round] and rounds[round][field], to[round] and to[round][field]
    if a and b and a >= 0 and b > 0 then values[#values + 1] = a / b end
  end
  return median(values)
end

-- ---- Table -------------------------------------------------------------------------------------

local function figure(value)
  if not value then return DASH end
  return (value >= 100 and "%.0f" or value >= 10 and "%.1f" or "%.2f"):format(value)
end

local function ratio_text(value) return value and ("%.2f"):format(value) or DASH end

local function goal_text(goal)
  if not goal then return "" end
  local sign = goal.at_least and "≥ " or "≤ "
  if goal.ratio then return sign .. goal.ratio .. " ×" end
  return sign .. goal.most
end

local function is_met(goal, value, ratio)
  local reached = goal and (goal.ratio and ratio or goal.most and value)
  if not reached then return "" end
  local bound = goal.ratio or goal.most
  if goal.at_least then return reached >= bound and "yes" or "no" end
  return reached <= bound and "yes" or "no"
end

local function table_row(q, row, field, of)
  local value, ratio = median_of(of.eddy, field), median_ratio(of.eddy, of.floor, field)
  local cells = {
    row.of and q.name .. ", " .. row.of or q.name, row.unit, figure(median_of(of.floor, field)), figure(value), ratio_text(ratio),
    goal_text(row.goal), is_met(row.goal, value, ratio),
  }
  for _, peer in ipairs(PEERS) do cells[#cells + 1] = figure(median_of(of[peer], field)) end
  return cells
end

local function table_rows(questions, answers)
  local titles = joined({ "question", "unit", "floor", "eddy", "ratio", "goal", "met" }, PEERS)
  titles[8] = "bare lua"
  local rows = { titles }
  for _, q in ipairs(questions) do
    for i, row in ipairs(q.rows) do
      rows[#rows + 1] = table_row(q, row, row.field or i, answers[q.name])
    end
  end
  return rows
end

local function print_aligned(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, utf8.len(cell)) end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      local space = (" "):rep(widths[i] - utf8.len(cell))
      cells[i] = i <= 2 and cell .. space or space .. cell
    end
    print(table.concat(cells, "  "))
  end
end

-- ---- Main --------------------------------------------------------------------------------------

local function pick(all, names)
  if #names == 0 then return all end
  local by_name, picked, known = {}, {}, {}
  for i, q in ipairs(all) do by_name[q.name], known[i] = q, q.name end
  for _, name in ipairs(names) do
    if not by_name[name] then
      io.stderr:write("no question '", name, "'; there are ", table.concat(known, " "), "\n")
      os.exit(2)
    end
    picked[#picked + 1] = by_name[name]
  end
  return picked
end

local questions = pick(dofile(ROOT .. "/bench/questions.lua"), { table.unpack(arg) })
build(floors_of(questions))
questions = askable(questions)
look_around(questions)
build_peers(questions)
local answers = run_rounds(questions)
print(("%s%s, %s; medians of %d rounds"):format(_VERSION, peer_versions(), shell("uname -sm"):gsub("\n", ""), ROUNDS))
print_aligned(table_rows(questions, answers))
