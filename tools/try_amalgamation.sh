#!/bin/sh
# SPDX-License-Identifier: MIT
# The library as one file: compile it alone, with and without what can be left out, link a small host, run it.
#   sh tools/try_amalgamation.sh FOLDER LUA_PC      FOLDER is that of the build. $CC is the compiler.
set -u
build=$1
lua=$2
source=$build/amalgamation
work=$build/amalgamation/try
subject=amalgamation
. tools/try.sh
rm -rf "$work"
mkdir -p "$work"

cat > "$work/host.c" <<'C'
#include <stdio.h>
#include <string.h>
#include "eddy.h"
static int failures;
static void on_error (eddy *e, eddy_id id, int code, const char *text, const char *tb, void *ud) {
  (void)e, (void)id, (void)code, (void)tb, (void)ud;
  failures++;
  printf("%s\n", text);
}
int main (int argc, char **argv) {
  eddy_config config;
  eddy *e;
  eddy_config_init(&config, sizeof config);
  config.on_error = on_error;
  if (argc < 2 || eddy_new(&e, NULL, &config) < 0) return 2;
  if (eddy_spawn_buffer(e, argv[1], strlen(argv[1]), "=host", NULL, NULL) < 0) return 3;
  eddy_run(e);
  eddy_close(e, 0);
  eddy_release(e);
  return failures;
}
C

script='
local eddy, net = require "eddy", require "eddy.net"
local function has(name) local ok, err = pcall(require, name) return ok, tostring(err) end
local tls, no_tls = has "eddy.tls"
local http, no_http = has "eddy.http"
assert(tls == TLS and http == HTTP, no_tls .. no_http)
assert(tls or no_tls:find("eddy.tls was left out of this build", 1, true), no_tls)
assert(http or no_http:find("eddy.http was left out of this build", 1, true), no_http)
local listener = assert(net.listen "127.0.0.1:0")
eddy.spawn(function() listener:accept():write "hello\n" end)
assert(net.connect("127.0.0.1:" .. listener.port):read_line() == "hello")
assert(tls or not pcall(net.connect, { host = "127.0.0.1", port = listener.port, tls = true }))
if http then
  local server = require "eddy.http".serve { host = "127.0.0.1", port = 0, handler = function() return "page" end }
  assert(require "eddy.http".get("http://127.0.0.1:" .. server.port).body == "page")
  local page, err = require "eddy.http".get("https://127.0.0.1:" .. server.port, { timeout = 2 })
  assert(not page and err.kind == "tls" or tls, tostring(err))
  server:stop()
end
listener:close()'

# SCRIPT PREFIX, FLAGS, LIBRARIES
use() {
  ${CC:-cc} -std=gnu11 -O0 -Wall -Werror -I"$source" $2 $(${PKG_CONFIG:-pkg-config} --cflags "$lua" $3) \
    "$source/eddy.c" "$work/host.c" -o "$work/host" -pthread $(${PKG_CONFIG:-pkg-config} --libs $3 "$lua") -lm &&
    "$work/host" "$1 $script"
}

check "everything" use "local TLS, HTTP = true, true" "" "libuv openssl zlib"
check "without TLS" use "local TLS, HTTP = false, true" "-DEDDY_NO_TLS" "libuv zlib"
check "without HTTP" use "local TLS, HTTP = true, false" "-DEDDY_NO_HTTP" "libuv openssl"
check "without both" use "local TLS, HTTP = false, false" "-DEDDY_NO_TLS -DEDDY_NO_HTTP" "libuv"
conclude
