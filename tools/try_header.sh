#!/bin/sh
# SPDX-License-Identifier: MIT
# What a host sees of us.   sh tools/try_header.sh FOLDER CFLAGS [PAGE.md...]
# eddy.h compiles alone, as C11 and as C++17; modules and archive show eddy_* and luaopen_eddy* only; each block
# of a page that is marked `c` compiles. FOLDER is that of the build. $CC is the compiler.
set -u
build=$1
flags=$2
shift 2
work=$build/header
mkdir -p "$work"
subject=header
. tools/try.sh

strict="-Wall -Wextra -Wpedantic -Werror -Icsrc -fsyntax-only $flags"
printf '#include "eddy.h"\nint x (void) { return eddy_abi(); }\n' > "$work/alone.c"
sed 's/(void)/()/' "$work/alone.c" > "$work/alone.cpp"
check "eddy.h as C11" ${CC:-cc} -std=c11 $strict -Wno-unused "$work/alone.c"
if ${CXX:-c++} --version > /dev/null 2>&1; then
  check "eddy.h as C++17" ${CXX:-c++} -std=c++17 $strict "$work/alone.cpp"
fi

# What is visible outside of a shared object, or of an archive whose inner names are hidden and ours.
others() {
  names=$(nm -D --defined-only "$1" | awk '{ print $3 }' | grep -v -e '^eddy_' -e '^luaopen_eddy' -e '^_init$' -e '^_fini$')
  [ -z "$names" ] || { echo "$names"; return 1; }
}
others_of_archive() {
  names=$(readelf -sW "$1" | awk '$5 == "GLOBAL" && $7 != "UND" && $7 != "COM" { print $6, $8 }' | grep -v \
    -e '^DEFAULT eddy_' -e '^DEFAULT luaopen_eddy' -e '^HIDDEN ed_' -e '^[A-Z]* __gnu_lto' | sort -u)
  [ -z "$names" ] || { echo "$names"; return 1; }
}
none_missing() {
  for name in $(awk '/^EDDY_API/ { if (match($0, /(eddy|luaopen_eddy)[a-z_]* \(/)) print substr($0, RSTART, RLENGTH - 2) }' csrc/eddy.h); do
    nm "$1" 2> /dev/null | grep -q " T $name\$" || { echo "$name is declared and not there"; return 1; }
  done
}
if nm -D "$build/eddy/core.so" > /dev/null 2>&1; then
  check "what the module exports" others "$build/eddy/core.so"
  if [ -e "$build/all/eddy.so" ]; then
    check "what the module with everything exports" others "$build/all/eddy.so"
    check "functions of the header in that module" none_missing "$build/all/eddy.so"
  fi
fi
if readelf --version > /dev/null 2>&1; then
  check "names of the archive" others_of_archive "$build/lib/libeddy.a"
  check "functions of the header in the archive" none_missing "$build/lib/libeddy.a"
fi

for page in "$@"; do
  rm -f "$work"/block*.c
  awk -v out="$work/block" '/^```c$/ { n++; on = 1; next } /^```/ { on = 0 } on { print > (out n ".c") }' "$page"
  for block in "$work"/block*.c; do
    [ -e "$block" ] || continue
    check "$page, $(basename "$block" .c)" ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -Wno-unused -Icsrc -fsyntax-only $flags "$block"
  done
done
conclude
