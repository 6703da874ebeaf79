-- SPDX-License-Identifier: MIT
-- From what a handler returns to the bytes of an answer. A header that must not be sent is an error
-- of the handler.
local codec = require "eddy.http.codec"
local headers = require "eddy.http.headers"

local reply = {}

local REASON = {
  [200] = "OK", [201] = "Created", [202] = "Accepted", [204] = "No Content", [206] = "Partial Content",
  [301] = "Moved Permanently", [302] = "Found", [303] = "See Other", [304] = "Not Modified",
  [307] = "Temporary Redirect", [308] = "Permanent Redirect", [400] = "Bad Request", [401] = "Unauthorized",
  [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed", [408] = "Request Timeout",
  [409] = "Conflict", [410] = "Gone", [413] = "Content Too Large", [414] = "URI Too Long",
  [415] = "Unsupported Media Type", [418] = "I'm a teapot", [422] = "Unprocessable Content",
  [429] = "Too Many Requests", [431] = "Request Header Fields Too Large", [500] = "Internal Server Error",
  [501] = "Not Implemented", [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout",
  [505] = "HTTP Version Not Supported",
}

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

local date_line, date_second = "", 0

--- The Date header of this second. Not by "%a" and "%b": those follow the locale.
local function date()
  local second = os.time()
  if second ~= date_second then
    local t = os.date("!*t", second)
    date_second = second
    date_line = ("Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n"):format(
      DAYS[t.wday], t.day, MONTHS[t.month], t.year, t.hour, t.min, t.sec)
  end
  return date_line
end

local function status_line(status)
  return "HTTP/1.1 " .. status .. " " .. (REASON[status] or "Status") .. "\r\n"
end

--- The whole answer to a request that was refused.
---@param status integer
---@return string
function reply.refusal(status)
  local text = (REASON[status] or "Error") .. "\n"
  return status_line(status) .. date() .. "Content-Type: text/plain\r\nConnection: close\r\nContent-Length: "
    .. #text .. "\r\n\r\n" .. text
end

local TABLE_FIELDS = { status = true, headers = true, body = true, json = true }

--- status, headers, body of what a handler returned, or nil and an error.
local function unpack_table(answer)
  for name in pairs(answer) do
    if not TABLE_FIELDS[name] then
      return nil, ("%s: field '%s' of a handler's answer"):format(name == "file" and "not yet" or "unknown", tostring(name))
    end
  end
  if answer.json == nil then return answer.status or 200, answer.headers, answer.body end
  local text, problem = codec.encode(answer.json)
  if not text then return nil, problem end
  return answer.status or 200, answer.headers, text, "application/json"
end

local function unpack(first, second, third)
  if type(first) == "string" then return 200, nil, first, "text/plain; charset=utf-8" end
  if type(first) == "table" then return unpack_table(first) end
  return first, second, third
end

local function check(status, fields, body)
  if math.type(status) ~= "integer" or status < 200 or status > 999 then
    return "a handler returns a status (200 to 999), a table or a string, got " .. tostring(status)
  end
  if fields ~= nil and type(fields) ~= "table" then return "headers: table expected, got " .. type(fields) end
  local kind = type(body)
  if kind ~= "nil" and kind ~= "string" and kind ~= "function" then
    return "body: string, function or nil expected, got " .. kind
  end
end

--- Lines for the handler's headers, or nil and an error. Framing is ours alone.
local function field_lines(fields, kind)
  if not fields then return kind and "Content-Type: " .. kind .. "\r\n" or "" end
  local merged, err = headers.merge(nil, fields)
  if not merged then return nil, err end
  local lines = {}
  merged["content-length"], merged.date = nil, nil
  if kind and not merged["content-type"] then lines[1] = "Content-Type: " .. kind end
  headers.append(lines, merged)
  lines[#lines + 1] = ""
  return table.concat(lines, "\r\n")
end

local function has_no_body(status)
  return status == 204 or status == 304
end

--- What tells the peer where the body ends, and whether the connection stays.
local function framing(req, status, body, keep)
  local line = ""
  if has_no_body(status) then line = ""
  elseif type(body) ~= "function" then line = "Content-Length: " .. #body .. "\r\n"
  elseif req.minor == 1 then line = "Transfer-Encoding: chunked\r\n"
  else keep = false end
  if not keep then line = line .. "Connection: close\r\n"
  elseif req.minor == 0 then line = line .. "Connection: keep-alive\r\n" end
  return line, keep
end

---@class eddy.http.Answer
---@field head string
---@field body string|fun(): string?
---@field keep boolean               the connection stays open

--- The answer to `req` that a handler's results stand for.
---@return eddy.http.Answer? answer
---@return any err
function reply.make(req, keep, first, second, third)
  local status, fields, body, kind = unpack(first, second, third)
  if not status then return nil, fields end
  local problem = check(status, fields, body)
  if problem then return nil, problem end
  local lines, err = field_lines(fields, kind)
  if not lines then return nil, err end
  body = body or ""
  local frame
  frame, keep = framing(req, status, body, keep)
  if req.method == "HEAD" or has_no_body(status) then body = "" end
  return { head = status_line(status) .. date() .. lines .. frame .. "\r\n", body = body, keep = keep }
end

return reply
