# SPDX-License-Identifier: MIT
# What the try_*.sh share: they set `subject`, which failures are told under, and read this file. It forgets the make
# and the Lua paths around it.
passed=0
failed=0

unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES LUA_PATH LUA_CPATH LUA_INIT LUA_PATH_5_4 LUA_CPATH_5_4

# check NAME COMMAND...: what it prints is shown when it fails
check() {
  name=$1
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf '%s: %s fails:\n%s\n' "$subject" "$name" "$output"
  fi
}

# A state of Lua finds what is installed in the folder $1, as in PREFIX, and nothing else.
look_in() {
  version=$($lua -e 'print(_VERSION:match("%d.%d"))')
  LUA_PATH="$1/share/lua/$version/?.lua;$1/share/lua/$version/?/init.lua"
  LUA_CPATH="$1/lib/lua/$version/?.so"
}

use_module() {
  cd "$root/elsewhere" && LUA_PATH=$LUA_PATH LUA_CPATH=$LUA_CPATH $lua -e '
    local eddy = require "eddy"
    assert(eddy.run(function() return 42 end) == 42)'
}

# The Lua files of the source, and no others, are installed in the folder $1.
same_files() {
  (cd "$source/lua" && find . -name '*.lua' | sort) > "$root/wanted"
  (cd "$1/share/lua/$version" && find . -name '*.lua' | sort) > "$root/got"
  diff "$root/wanted" "$root/got"
}

conclude() {
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}
