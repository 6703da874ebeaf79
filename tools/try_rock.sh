#!/bin/sh
# Build the rock into a tree and use it from another folder with only that tree on the path.
#   try_rock.sh LUAROCKS LUA FOLDER (absolute)
set -u
luarocks=$1 lua=$2 root=$3/rocktest
source=$(pwd) tree=$root/tree
passed=0 failed=0

unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES LUA_PATH LUA_CPATH LUA_INIT LUA_PATH_5_4 LUA_CPATH_5_4

check() {
  name=$1
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'rock: %s fails:\n%s\n' "$name" "$output"
  fi
}

rm -rf "$root"
mkdir -p "$root/elsewhere"
check "$luarocks make" $luarocks make --tree "$tree"
version=$($lua -e 'print(_VERSION:match("%d.%d"))')
LUA_PATH="$tree/share/lua/$version/?.lua;$tree/share/lua/$version/?/init.lua"
LUA_CPATH="$tree/lib/lua/$version/?.so"

use_module() {
  cd "$root/elsewhere" && LUA_PATH=$LUA_PATH LUA_CPATH=$LUA_CPATH $lua -e '
    local eddy = require "eddy"
    assert(eddy.run(function() return 42 end) == 42)'
}

use_command() {
  cd "$root/elsewhere" && output=$("$tree/bin/eddy" -e 'print(6 * 7)') || return 1
  [ "$output" = 42 ] || { echo "printed: $output"; return 1; }
}

same_files() {
  (cd "$source/lua" && find . -name '*.lua' | sort) > "$root/wanted"
  (cd "$tree/share/lua/$version" && find . -name '*.lua' | sort) > "$root/got"
  diff "$root/wanted" "$root/got"
}

check "the module from another folder" use_module
check "the command from another folder" use_command
check "comparing the installed Lua files" same_files
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
