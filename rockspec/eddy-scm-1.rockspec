rockspec_format = "3.0"
package = "eddy"
version = "scm-1"
source = {
  url = "git+https://example.org/eddy.git",
  branch = "main",
}
description = {
  summary = "Embeddable async scripting: Lua coroutines over libuv",
  detailed = [[
    Tasks that wait instead of calling back, structured groups with cancellation and deadlines, streams
    and HTTP, in C over libuv with a thin layer of Lua.
  ]],
  homepage = "https://example.org/eddy",
  license = "MIT",
}
supported_platforms = { "unix" }
dependencies = { "lua >= 5.4, < 5.6" }

-- Empty on purpose: the Makefile asks pkg-config, which knows where a system keeps headers and
-- libraries better than luarocks does. The names only let LIBUV_DIR=... and the like reach make.
external_dependencies = { LIBUV = {}, OPENSSL = {}, ZLIB = {} }

build = {
  type = "make",
  build_target = "rock",
  install_target = "rock-install",
  build_variables = {
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    LIBUV_DIR = "$(LIBUV_DIR)",
    OPENSSL_DIR = "$(OPENSSL_DIR)",
    ZLIB_DIR = "$(ZLIB_DIR)",
  },
  install_variables = {
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    INST_LUADIR = "$(LUADIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_BINDIR = "$(BINDIR)",
  },
}
test = { type = "command", command = "make test" }
