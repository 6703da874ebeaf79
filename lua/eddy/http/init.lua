-- SPDX-License-Identifier: MIT
-- HTTP/1.1: a client with kept connections and a small server.
--
--     local http = require "eddy.http"
--     local page = assert(http.get("http://example.org/"))
--     print(page.status, #page.body)
--
-- Cancellation: a request that is cancelled closes its connection; nothing else is affected.
-- Errors: the network's failures are `nil, err`; statuses are data; wrong types and unknown
-- options raise.
if not require("eddy.core").http then error("eddy.http was left out of this build of eddy (HTTP=0)", 0) end
local client = require "eddy.http.client"
local cookies = require "eddy.http.cookies"
local file = require "eddy.http.file"
local server = require "eddy.http.server"

---@class eddy.http
local http = {}

-- The client behind http.get and its like. Its idle connections are closed when a run ends.
local default = client.new()

--- Send a request over the default client and wait for its answer.
---@async
---@param method string
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function http.request(method, url, options) return default:request(method, url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function http.get(url, options) return default:request("GET", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function http.head(url, options) return default:request("HEAD", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function http.post(url, options) return default:request("POST", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function http.put(url, options) return default:request("PUT", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function http.patch(url, options) return default:request("PATCH", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function http.delete(url, options) return default:request("DELETE", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function http.options(url, options) return default:request("OPTIONS", url, options) end

--- A client with a pool, a base address and headers of its own; a `<close>` value.
http.client = client.new

--- Serve requests from the running task's current block until it is stopped.
http.serve = server.serve

--- What a handler returns to answer with a file.
http.file = file.file

--- A handler for a tree of files.
http.files = file.files

--- Server-sent events over the default client: `for event in http.events(url) do`.
---@async
---@param url string
---@param options eddy.http.EventOptions?
---@return fun(): eddy.http.Event?
function http.events(url, options) return default:events(url, options) end

--- Load a file over the default client.
---@async
---@param url string
---@param path string
---@param options eddy.http.DownloadOptions?
---@return eddy.http.Response? response  without body
---@return eddy.Error? err
function http.download(url, path, options) return default:download(url, path, options) end

--- A jar for the option `cookies`.
http.cookies = cookies.jar

return http
