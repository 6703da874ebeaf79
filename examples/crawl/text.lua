-- SPDX-License-Identifier: MIT
-- What a page says: the licences it names, the words it uses.

local text = {}

-- In "License: ..." fields, by how the short name begins; the first that fits counts.
local SHORT_NAMES = {
  { "^lgpl", "LGPL" }, { "^agpl", "AGPL" }, { "^gpl", "GPL" }, { "^gfdl", "GFDL" }, { "^expat", "MIT" }, { "^mit", "MIT" },
  { "^x11", "MIT" }, { "^bsd", "BSD" }, { "^apache", "Apache" }, { "^isc", "ISC" }, { "^mpl", "MPL" }, { "^zlib", "zlib" },
  { "^artistic", "Artistic" }, { "^cc0", "CC0" }, { "^cc%-", "Creative Commons" }, { "^public.domain", "public domain" },
  { "^psf", "Python" }, { "^python", "Python" }, { "^ofl", "OFL" }, { "^openssl", "OpenSSL" }, { "^unicode", "Unicode" },
}

-- In prose, in lower case and with single spaces.
local PHRASES = {
  { "gnu general public license", "GPL" }, { "common-licenses/gpl", "GPL" },
  { "gnu lesser general public license", "LGPL" }, { "gnu library general public license", "LGPL" },
  { "common-licenses/lgpl", "LGPL" }, { "gnu free documentation license", "GFDL" },
  { "apache license", "Apache" }, { "mozilla public license", "MPL" }, { "artistic license", "Artistic" },
  { "redistribution and use in source and binary forms", "BSD" },
  { "permission is hereby granted, free of charge, to any person obtaining a copy", "MIT" },
  { "permission to use, copy, modify, and/or distribute this software", "ISC" },
  { "released into the public domain", "public domain" }, { "in the public domain", "public domain" },
}

local function add_fields(found, body)
  for names in ("\n" .. body):gmatch("\n[Ll]icense:%s*([^\n]+)") do
    for name in names:lower():gsub("%s+or%s+", ","):gsub("%s+and%s+", ","):gmatch("[^,|]+") do
      name = name:match("^%s*(.-)%s*$")
      for _, rule in ipairs(SHORT_NAMES) do
        if name:find(rule[1]) then found[rule[2]] = true break end
      end
    end
  end
end

--- The families of licences that a Debian copyright file names.
---@param body string
---@return table<string, true>
function text.licences(body)
  local found = {}
  add_fields(found, body)
  local prose = body:lower():gsub("[%s*#]+", " ")
  for _, rule in ipairs(PHRASES) do
    if prose:find(rule[1], 1, true) then found[rule[2]] = true end
  end
  return found
end

--- Add the words of four letters and more to `counts`; returns how many words there are in all.
---@param body string
---@param is_html boolean
---@param counts table<string, integer>
---@return integer
function text.count_words(body, is_html, counts)
  local total = 0
  if is_html then body = body:gsub("<[sS][ct][^>]*>.-</[sS][ct][^>]*>", " "):gsub("<[^>]*>", " "):gsub("&#?%w+;", " ") end
  for word in body:gmatch("%a+") do
    total = total + 1
    if #word >= 4 then
      word = word:lower()
      counts[word] = (counts[word] or 0) + 1
    end
  end
  return total
end

return text
