-- SPDX-License-Identifier: MIT
-- Loading files. Bytes go to `path .. ".part"`, which is renamed when all are there; nothing is left
-- behind otherwise, unless the caller wants to resume: then the part stays, and beside it
-- `path .. ".part.tag"` with what identifies the version that it is a part of.
--
-- The file is written on the loop's thread, in pieces of at most 64 KiB, each as it comes from the
-- network: a slow disk holds the loop for the time of one piece.
local core = require "eddy.core"
local misuse = require "eddy.http.misuse"
local options_of = require "eddy.http.options"

local download = {}

local PIECE = 65536
local IDLE = 30

---@class eddy.http.DownloadOptions: eddy.http.RequestOptions
---@field progress fun(received: integer, total: integer?)?  called for each piece
---@field resume boolean?            keep and use what was loaded before

local CODES = { [2] = "ENOENT", [13] = "EACCES", [17] = "EEXIST", [20] = "ENOTDIR", [21] = "EISDIR", [28] = "ENOSPC",
  [30] = "EROFS", [36] = "ENAMETOOLONG" }

local function file_error(op, path, message, number)
  local code = CODES[number] or "EIO"
  return nil, core.error {
    kind = (code == "EACCES" or code == "EROFS") and "permission" or "io", code = code, op = op, target = path,
    message = message,
  }
end

local function read_text(path)
  local file <close> = io.open(path, "rb")
  return file and file:read(1024)
end

local function size_of(path)
  local file <close> = io.open(path, "rb")
  return file and file:seek("end") or 0
end

-- ---- The part ----------------------------------------------------------------------------------

local part_meta = { __close = function(self)
  if self.file then self.file:close() end
  if self.is_done or self.is_kept or not self.is_ours then return end
  os.remove(self.path)
  os.remove(self.tag)
end }

local function open_part(self, mode)
  local file, message, number = io.open(self.path, mode)
  if not file then return file_error("open", self.path, message, number) end
  file:setvbuf "no"
  self.file, self.is_ours = file, true
  return true
end

--- What identifies the version that a server has, for If-Range: a strong ETag, or a date.
local function tag_of(response)
  local etag = response.headers.etag
  if etag and etag:sub(1, 1) == '"' then return etag end
  return response.headers["last-modified"]
end

local function write_tag(self, response)
  local tag = tag_of(response)
  if not tag then return os.remove(self.tag) end
  local file <close> = io.open(self.tag, "wb")
  if file then file:write(tag) end
end

-- ---- Loading -----------------------------------------------------------------------------------

--- Where does the answer begin, and how much will there be? `nil, err` when it is not what was
--- asked for.
local function range_of(response, offset)
  local length = tonumber(response.headers["content-length"])
  if response.status ~= 206 then return 0, length end
  local from, total = (response.headers["content-range"] or ""):match("^bytes (%d+)%-%d+/([%d*]+)$")
  if tonumber(from) == offset and offset > 0 then return offset, tonumber(total) end
  return nil, core.error {
    kind = "protocol", code = "EBADHEAD", op = "download", target = response.url,
    message = "the server sent another range than it was asked for",
  }
end

local function copy(self, response, received, total, progress)
  while true do
    local piece, err = response:read(PIECE)
    if err then return nil, err end
    if not piece then return received end
    local ok, message, number = self.file:write(piece)
    if not ok then return file_error("write", self.path, message, number) end
    received = received + #piece
    if progress then progress(received, total) end
  end
end

--- A server may send less than it was asked for; what it sent is good to go on from.
local function is_cut(response)
  return nil, core.error {
    kind = "io", code = "EOF", op = "download", target = response.url,
    message = "the server sent less than what was missing",
  }
end

local function rename(self, path)
  local ok, message, number = self.file:close()
  self.file = nil
  if not ok then return file_error("write", self.path, message, number) end
  ok, message, number = os.rename(self.path, path)
  if not ok then return file_error("rename", path, message, number) end
  self.is_done = true
  os.remove(self.tag)
  return true
end

local function save(self, response, path, own, offset)
  local received, total = range_of(response, offset)
  if not received then return nil, total end
  local ok, err = open_part(self, received > 0 and "ab" or "wb")
  if not ok then return nil, err end
  if own.resume and received == 0 then write_tag(self, response) end
  received, err = copy(self, response, received, total, own.progress)
  if not received then return nil, err end
  if total and received < total then return is_cut(response) end
  ok, err = rename(self, path)
  if not ok then return nil, err end
  return response
end

--- Ask for the file, or for what is missing of it.
local function ask(client, url, options, self, offset)
  local request = {}
  for name, value in pairs(options) do request[name] = value end
  if offset > 0 then
    request.headers = {}
    for name, value in pairs(options.headers or {}) do request.headers[name] = value end
    request.headers.Range = ("bytes=%d-"):format(offset)
    request.headers["If-Range"] = read_text(self.tag)
  end
  return client:request("GET", url, request)
end

local OWN = {
  progress = function(name, value) misuse.check_type(name, value, "function") end,
  resume = function(name, value) misuse.check_type(name, value, "boolean") end,
}

--- Load `url` into the file `path`.
---@async
---@param client eddy.http.Client
---@param url string
---@param path string
---@param options eddy.http.DownloadOptions?
---@return eddy.http.Response? response  without body
---@return eddy.Error? err           a status that is not 2xx is one
function download.load(client, url, path, options)
  misuse.check_type("path", path, "string")
  if path == "" or path:find("\0", 1, true) then return misuse.invalid "invalid path" end
  local own, rest = options_of.split(options, OWN)
  rest.stream, rest.timeout, rest.idle_timeout = true, rest.timeout or math.huge, rest.idle_timeout or IDLE
  local self <close> = setmetatable({
    path = path .. ".part", tag = path .. ".part.tag", is_kept = own.resume or false, is_done = false,
  }, part_meta)
  local offset = 0
  if own.resume then
    rest.decode = false   -- a part of coded bytes could not be gone on with
    offset = read_text(self.tag) and size_of(self.path) or 0
  end
  local response, err = ask(client, url, rest, self, offset)
  if response and response.status == 416 and offset > 0 then   -- the part is not of this version
    response:close()
    offset = 0
    response, err = ask(client, url, rest, self, 0)
  end
  if not response then return nil, err end
  local guard <close> = response   -- luacheck: ignore 211
  local ok, problem = response:expect()
  if not ok then return nil, problem end
  return save(self, response, path, own, offset)
end

return download
