#!/bin/sh
# SPDX-License-Identifier: MIT
# Install into a staging folder and use it from elsewhere, as its users will: module, program, header
# and archive; then uninstall and see that nothing stays.   try_install.sh MAKE LUA FOLDER (absolute)
set -u
make=$1 lua=$2 build=$3 root=$3/install
source=$(pwd)
subject=install
. tools/try.sh

rm -rf "$root"
mkdir -p "$root/elsewhere"
check "make install" $make B="$build" install DESTDIR="$root/stage" PREFIX=/usr
usr=$root/stage/usr
look_in "$usr"

use_program() {
  cd "$root/elsewhere" && output=$("$usr/bin/eddy" -e 'print(require("eddy") ~= nil, 6 * 7)') || return 1
  [ "$output" = "$(printf 'true\t42')" ] || { echo "printed: $output"; return 1; }
}

# The program carries its Lua files: it must not need the installed ones.
use_program_alone() {
  cp "$usr/bin/eddy" "$root/elsewhere/eddy" && cd "$root/elsewhere" &&
    LUA_PATH=/nowhere/?.lua LUA_CPATH=/nowhere/?.so ./eddy -e 'require "eddy"'
}

use_archive() {
  cd "$root/elsewhere" || return 1
  cat > host.c <<'C'
#include <stdio.h>
#include <uv.h>
#include <lauxlib.h>
#include <lualib.h>
#include <eddy.h>
static int ticks = 0;
static void on_tick (uv_timer_t *timer) { ticks++; (void)timer; }
int main (void) {
  lua_State *L = luaL_newstate();
  uv_loop_t loop;
  uv_timer_t timer;
  int failed;
  uv_loop_init(&loop);
  uv_timer_init(&loop, &timer);
  uv_timer_start(&timer, on_tick, 1, 1);
  luaL_openlibs(L);
  eddy_preload(L);
  failed = eddy_use_loop(L, &loop) != UV_EINVAL;  /* nothing is open yet */
  failed |= luaL_dostring(L, "package.path, package.cpath = '', '' eddy = require 'eddy'");
  failed |= eddy_use_loop(L, &loop) != 0;
  failed |= luaL_dostring(L, "assert(eddy.run(function() eddy.sleep(0.03) return 42 end) == 42)"
                             "require 'eddy.http'");
  failed |= eddy_use_loop(L, &loop) != UV_EBUSY || ticks == 0;
  if (lua_gettop(L) > 0) puts(lua_tostring(L, -1));
  lua_close(L);
  uv_close((uv_handle_t *)&timer, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  return failed || uv_loop_close(&loop) != 0;  /* eddy has left nothing in it */
}
C
  # It says /usr, where a packager's machine does not have it.
  sed "s|^prefix=.*|prefix=$usr|" "$usr/lib/pkgconfig/eddy.pc" > eddy.pc
  flags=$(PKG_CONFIG_PATH=".:${PKG_CONFIG_PATH:-}" ${PKG_CONFIG:-pkg-config} --cflags --libs eddy) || return 1
  ${CC:-cc} host.c -o host $flags && ./host
}

# The same with everything that pkg-config would link statically.
use_archive_static() {
  cd "$root/elsewhere" || return 1
  flags=$(PKG_CONFIG_PATH=".:${PKG_CONFIG_PATH:-}" ${PKG_CONFIG:-pkg-config} --static --cflags --libs eddy) || return 1
  ${CC:-cc} host.c -o host_static $flags && ./host_static
}

cmake_project() {
  mkdir -p "$root/$1" && cp "$root/elsewhere/host.c" "$root/$1/" && cat > "$root/$1/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.16)
project(host C)
$2
add_executable(host host.c)
target_link_libraries(host PRIVATE eddy::eddy)
$3
CMAKE
  cd "$root/$1" && cmake -DCMAKE_BUILD_TYPE=Debug -S . -B out ${4:-} && cmake --build out --parallel 2 && ./out/host
}
use_cmake_package() {
  cmake_project package "find_package(eddy $(sed -n 's/^.define EDDY_VERSION "\(.*\)"/\1/p' "$source/csrc/eddy.h") REQUIRED)" "" \
    "-DCMAKE_PREFIX_PATH=$usr"
}
use_cmake_folder() {
  cmake_project folder "add_subdirectory($source/csrc eddy)" \
    "find_package(PkgConfig REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
target_link_libraries(host PRIVATE PkgConfig::UV)"
}

# One file, without any Lua file on the path.
use_single_module() {
  mkdir -p "$root/single" && cp "$build/all/eddy.so" "$root/single/" && cd "$root/single" &&
    LUA_PATH=/nowhere/?.lua LUA_CPATH="./?.so" $lua -e '
      local net, eddy = require "eddy.net", require "eddy"
      assert(eddy.run(function() eddy.sleep(0.01) return 42 end) == 42 and net.connect and require "eddy.http".get)'
}

read_manual() {
  [ -s "$usr/share/man/man1/eddy.1" ] && ! grep -q '@VERSION@' "$usr/share/man/man1/eddy.1"
}

nothing_stays() {
  $make B="$build" uninstall DESTDIR="$root/stage" PREFIX=/usr >/dev/null || return 1
  left=$(find "$root/stage" ! -type d)
  [ -z "$left" ] || { echo "still there: $left"; return 1; }
}

check "the module from another folder" use_module
check "the program from another folder" use_program
check "the program without its Lua files" use_program_alone
check "comparing the installed Lua files" same_files "$usr"
check "a C host with the archive" use_archive
check "a C host with pkg-config --static" use_archive_static
if cmake --version > /dev/null 2>&1; then
  check "find_package in CMake" use_cmake_package
  check "add_subdirectory in CMake" use_cmake_folder
fi
check "one module with everything" use_single_module
check "the manual page" read_manual
check "make uninstall" nothing_stays
conclude
