-- SPDX-License-Identifier: MIT
-- A small JSON service: handlers are plain functions, a slow one is answered for with 504.
-- Given a port it serves until interrupted:   eddy examples/json_api.lua 8000
local eddy = require "eddy"
local http = require "eddy.http"

local notes = {}

local routes = {}

routes["GET /notes"] = function() return { json = { count = #notes } } end

routes["POST /notes"] = function(req)
  local note, err = req:json()
  if not note then return { status = 400, json = { error = err.code } } end
  notes[#notes + 1] = note
  return { status = 201, headers = { Location = "/notes/" .. #notes }, json = { id = #notes } }
end

routes["GET /slow"] = function()
  eddy.sleep(60)   -- somebody we ask does not answer
  return "never"
end

local function handler(req)
  local route = routes[req.method .. " " .. req.path]
  if not route then return { status = 404, json = { error = "not found" } } end
  return route(req)
end

local server <close> = assert(http.serve { port = tonumber(arg[1]) or 0, handler = handler, timeout = 0.5 })
if arg[1] then
  print("listening on port " .. server.port)
  eddy.sleep(math.huge)
end

local client <close> = http.client { base_url = ("http://127.0.0.1:%d"):format(server.port) }
local function show(res) print(res.status, (res.body:gsub("\n", ""))) end

show(assert(client:post("/notes", { json = { text = "buy milk" } })))
show(assert(client:post("/notes", { body = "{broken" })))
show(assert(client:get "/notes"))
show(assert(client:get "/nothing"))
show(assert(client:get "/slow"))
server:stop { grace = 5 }
