#!/bin/sh
# SPDX-License-Identifier: MIT
# Build the rock into a tree and use it from another folder with only that tree on the path.
#   try_rock.sh LUAROCKS LUA FOLDER (absolute)
set -u
luarocks=$1 lua=$2 root=$3/rocktest
source=$(pwd) tree=$root/tree
subject=rock
. tools/try.sh

rm -rf "$root"
mkdir -p "$root/elsewhere"
check "$luarocks make" $luarocks make --tree "$tree"
look_in "$tree"

use_command() {
  cd "$root/elsewhere" && output=$("$tree/bin/eddy" -e 'print(6 * 7)') || return 1
  [ "$output" = 42 ] || { echo "printed: $output"; return 1; }
}

check "the module from another folder" use_module
check "the command from another folder" use_command
check "comparing the installed Lua files" same_files "$tree"
conclude
