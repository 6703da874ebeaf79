-- SPDX-License-Identifier: MIT
-- What bench/run.lua asks. Each question names a program, its arguments, and the rows that it fills:
-- which number of the program's answer, its unit, and the goal for eddy. A goal is a `ratio` to the
-- floor of the same run, or a figure of its own (`most`) where no ratio was set.

-- Requests a second, and CPU of the server for each.
local server_rows = { { unit = "req/s", goal = { ratio = 1.0, at_least = true } }, { unit = "µs" } }

local function ns(goal) return { { unit = "ns", goal = goal } } end

return {
  { name = "switch2", program = "switch", args = { 2 }, rows = ns { ratio = 1.15 } },
  { name = "switch10k", program = "switch", args = { 10000 }, rows = ns { ratio = 1.25 } },
  { name = "spawn", program = "spawn", args = {}, rows = ns { ratio = 1.5 } },
  { name = "gather", program = "gather", args = { 1000 }, rows = ns { most = 74 } },
  { name = "timeout", program = "timeout", args = {}, rows = ns { ratio = 1.5 } },
  { name = "queue", program = "queue", args = { 1000 }, rows = ns { most = 100 } },
  { name = "semaphore_free", program = "semaphore", args = { 1 }, rows = ns { most = 64 } },
  { name = "semaphore_contended", program = "semaphore", args = { 4 }, rows = ns { most = 142 } },
  { name = "sleepers", program = "sleepers", args = { 100000 }, rows = {
    { unit = "µs", goal = { most = 2.4 } },
    { unit = "bytes", goal = { most = 1400 } },
  } },
  { name = "offload1", program = "offload", args = { 1 }, rows = { { unit = "µs", goal = { ratio = 1.1 } } } },
  { name = "offload64", program = "offload", args = { 64 }, rows = { { unit = "µs", goal = { ratio = 1.1 } } } },
  { name = "offload_cores", program = "offload_cores", args = { 2 }, rows = {
    { unit = "times", goal = { most = 1.9, at_least = true } },
  } },
  { name = "echo64", program = "echo", kind = "echo", args = { 50, 64 }, rows = {
    { unit = "µs", goal = { ratio = 1.1 } },
    { unit = "req/s" },
  } },
  { name = "echo64k", program = "echo", kind = "echo", args = { 8, 65536 }, rows = {
    { unit = "MB/s", field = 3, goal = { ratio = 0.85, at_least = true } },
  } },
  { name = "http_client", program = "http_client", kind = "http", args = { 100, 30000 }, rows = {
    { unit = "µs", goal = { ratio = 1.35 } },
    { unit = "req/s" },
  } },
  { name = "https_client", program = "https_client", kind = "http", args = { 100, 20000, 13, "build/bench/tls.pem" },
    origin = { "build/bench/nginx", "tls" }, needs = "nginx", scheme = "https", rows = {
      { unit = "µs", goal = { ratio = 1.0 } },
      { unit = "req/s" },
    } },
  { name = "http_1m", program = "http_body", kind = "http", args = { 10, 2000, 1048576 },
    origin = { "build/bench/httpd", 1048576 }, rows = {
      { unit = "µs", goal = { ratio = 1.05 } },
      { unit = "req/s" },
    } },
  { name = "http_server50", program = "http_server", kind = "server", args = { 50 }, rows = server_rows },
  { name = "http_server500", program = "http_server", kind = "server", args = { 500 }, rows = server_rows },
  { name = "idle", program = "idle", args = { 5000 }, eddy_alone = true, rows = {
    { unit = "bytes", of = "server", goal = { most = 16384 } },
    { unit = "bytes", of = "client", goal = { most = 16384 } },
  } },
  { name = "idle_tls", program = "idle", args = { 5000, "build/bench/tls.pem" }, eddy_alone = true, rows = {
    { unit = "bytes", of = "server", goal = { most = 61440 } },
    { unit = "bytes", of = "client", goal = { most = 61440 } },
  } },
  { name = "slow", program = "slow", args = { 5000 }, eddy_alone = true, rows = {
    { unit = "times", of = "p99", goal = { most = 2 } },
    { unit = "ms", of = "alone" },
    { unit = "ms", of = "among slow" },
  } },
  { name = "embed", program = "embed", kind = "host", args = {}, rows = {
    { unit = "µs a step with nothing to do", goal = { most = 1.5 } },
    { unit = "ms of a budget of 2", goal = { most = 2.3 } },
    { unit = "lost of 1000", goal = { most = 0 } },
    { unit = "µs a frame for 10k idle tasks", goal = { most = 0.1 } },
    { unit = "ns a frame waiter woken" },
    { unit = "µs new and close", goal = { most = 100 } },
    { unit = "KiB idle", goal = { most = 150 } },
  } },
}
