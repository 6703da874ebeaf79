std = "lua54"
max_line_length = 140
codes = true
exclude_files = { "build/**", "lua_modules/**" }
self = false   -- a method that does not need its object still has one
ignore = {
  "21[123]/_.*",                         -- `_` and names beginning with it say that they are unused
  "211/guard", "211/permit", "211/slot", -- `local guard <close> = ...` is used by being closed
  "4[23]1/ok", "4[23]1/err",             -- results of one call after another
}
