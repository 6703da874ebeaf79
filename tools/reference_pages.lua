-- SPDX-License-Identifier: MIT
-- The pages of docs/reference: their sources, and how a page calls the objects of its classes.
local T = "lua/eddy/types/"
local H = "lua/eddy/http/"

return {
  {
    name = "kernel", title = "Kernel", text = '`local eddy = require "eddy"`',
    sources = {
      T .. "kernel.lua", "lua/eddy/init.lua", "lua/eddy/iterate.lua", "lua/eddy/gen.lua", "lua/eddy/defer.lua",
      "lua/eddy/loader.lua", T .. "future.lua", "lua/eddy/errors.lua",
    },
    objects = {
      ["eddy.Task"] = "task", ["eddy.Group"] = "group", ["eddy.Var"] = "var", ["eddy.Error"] = "err",
      ["eddy.Future"] = "future", ["eddy.Coroutine"] = "eddy.coroutine", Defer = "defer",
    },
    hidden = { Members = true, Generator = true, Loading = true, ["eddy.loading"] = true, iterate = true,
      ["eddy.Semaphore"] = true, ["eddy.Queue"] = true },
  },
  {
    name = "synchronisation", title = "Synchronisation", text = '`local eddy = require "eddy"`',
    sources = { T .. "sync.lua", "lua/eddy/sync.lua", "lua/eddy/pool.lua" },
    objects = {
      ["eddy.Semaphore"] = "semaphore", ["eddy.Permit"] = "permit", ["eddy.Lock"] = "lock", ["eddy.Guard"] = "guard",
      ["eddy.Condition"] = "condition", ["eddy.Barrier"] = "barrier", ["eddy.Event"] = "event", ["eddy.Queue"] = "queue",
      ["eddy.RateLimit"] = "limit", ["eddy.Pool"] = "pool", ["eddy.Slot"] = "slot",
    },
  },
  {
    name = "offload", title = "Other cores", text = '`local eddy = require "eddy"`',
    sources = { T .. "offload.lua", "lua/eddy/offload.lua" },
    objects = {}, hidden = { offload = true },
  },
  {
    name = "net", title = "Network", text = '`local net = require "eddy.net"`', sources = { "lua/eddy/net.lua" },
    objects = { ["eddy.Stream"] = "stream", ["eddy.Listener"] = "listener" },
  },
  {
    name = "tls", title = "TLS", text = '`local tls = require "eddy.tls"`', sources = { "lua/eddy/tls.lua" },
    objects = { ["eddy.tls.Context"] = "context" },
  },
  {
    name = "http", title = "HTTP", text = '`local http = require "eddy.http"`',
    sources = {
      H .. "init.lua", H .. "client.lua", H .. "options.lua", H .. "response.lua", H .. "headers.lua", H .. "cookies.lua",
      H .. "events.lua", H .. "download.lua", H .. "pool.lua", H .. "server.lua", H .. "compress.lua", H .. "incoming.lua",
      H .. "server_response.lua", H .. "sse.lua", H .. "file.lua",
    },
    objects = {
      ["eddy.http"] = "http", ["eddy.http.Client"] = "client", ["eddy.http.Response"] = "res",
      ["eddy.http.Headers"] = "headers", ["eddy.http.Jar"] = "jar",
      ["eddy.http.Server"] = "server", ["eddy.http.Request"] = "req", ["eddy.http.ServerResponse"] = "res",
      ["eddy.http.EventStream"] = "events",
    },
    hidden = {
      client = true, options = true, response = true, headers = true, cookies = true, events = true, download = true, pool = true,
      server = true, compress = true, incoming = true, sse = true, file = true, Parser = true, Source = true, Answer = true,
      ["eddy.http.Pool"] = true, ["eddy.http.PoolOptions"] = true, ["eddy.http.Connection"] = true,
      ["eddy.http.Compression"] = true, ["eddy.http.FileJob"] = true,
    },
  },
  {
    name = "json", title = "JSON", text = '`local json = require "eddy.json"`', sources = { "lua/eddy/json.lua" },
  },
  {
    name = "testing", title = "Testing", text = '`local testing = require "eddy.testing"`', sources = { "lua/eddy/testing.lua" },
  },
}
