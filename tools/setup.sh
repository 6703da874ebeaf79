#!/bin/sh
# What eddy needs from the system, and how each package manager calls it.
#
#   setup.sh missing SET...   print what is missing, nothing when all is there
#   setup.sh install SET...   install the packages of these sets
#   setup.sh try SET...       the same for what is missing, but go on when it cannot be had
#
# Sets: build (compiler, Lua, libuv, OpenSSL, zlib), rock (the same, headers only), test, check,
# fuzz, valgrind, bench, examples (what hosts in examples/embed need). With EDDY_NO_DEPS=1 the install
# line is only printed, and the exit status is 1.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\n' "$*"; }

LUA=${LUA:-lua5.4}
LUAROCKS=${LUAROCKS:-luarocks-5.4}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}

# ---- What is missing ----------------------------------------------------------------------------

# The first word only: CC may be "ccache gcc" or "env VAR=x gcc".
need_program() { have "${1%% *}" || say "[$2]"; }
need_library() { $PKG_CONFIG --exists "$1" 2>/dev/null || say "[$1]"; }
need_module() { $LUA -e "require '$1'" >/dev/null 2>&1 || say "[Lua module $1]"; }

missing_rock() {
  need_program "${CC:-cc}" "a C compiler"
  need_program "$PKG_CONFIG" "pkg-config"
  need_library 'libuv >= 1.42'
  [ "${TLS:-1}" = 0 ] || need_library 'openssl >= 1.1.1'
  [ "${HTTP:-1}" = 0 ] || need_library 'zlib >= 1.2.11'
  [ -n "${LUA_INCDIR:-}${LUA_PC:-}" ] || say "[Lua 5.4 headers]"
}

missing_build() {
  missing_rock
  need_program "$LUA" "Lua 5.4"
  [ -n "${LUA_PC:-}${LUA_LIBS:-}" ] || say "[liblua 5.4]"
}

missing_test() {
  need_module luaunit
  need_program openssl "the openssl program"
  need_program "$LUAROCKS" "luarocks for 5.4"
}

missing_check() {
  need_program luacheck "luacheck"
  need_program clang-format "clang-format"
  need_program "$LUAROCKS" "luarocks for 5.4"
}

missing_fuzz() { need_program "${CLANG:-clang}" "clang with libFuzzer"; }

missing_valgrind() { need_program valgrind "valgrind"; }

missing_bench() {
  need_module luv
  need_module cqueues
  need_program wrk "wrk"
}

missing_examples() {
  need_library sdl2
  need_library glib-2.0
  need_program "${CXX:-c++}" "a C++ compiler"
}

# ---- Package names ------------------------------------------------------------------------------

packages_apt() {
  case $1 in
    build) say gcc libc6-dev make pkg-config lua5.4 liblua5.4-dev libuv1-dev libssl-dev zlib1g-dev libbrotli-dev libzstd-dev libpsl-dev ;;
    test) say lua-unit luarocks openssl lua-cjson lua-dkjson ;;
    check) say lua-check clang-format luarocks ;;
    fuzz) say clang ;;
    valgrind) say valgrind ;;
    bench) say lua-luv lua-cqueues wrk ;;
    examples) say libsdl2-dev libglib2.0-dev g++ ;;
  esac
}

packages_dnf() {
  case $1 in
    build) say gcc make pkgconf-pkg-config lua lua-devel libuv-devel openssl-devel zlib-devel brotli-devel libzstd-devel libpsl-devel ;;
    test) say luarocks openssl ;;
    check) say clang-tools-extra luarocks ;;
    fuzz) say clang compiler-rt ;;
    valgrind) say valgrind ;;
    bench) say wrk ;;
    examples) say SDL2-devel glib2-devel gcc-c++ ;;
  esac
}

packages_apk() {
  case $1 in
    build) say build-base pkgconf lua5.4 lua5.4-dev libuv-dev openssl-dev zlib-dev brotli-dev zstd-dev libpsl-dev ;;
    test) say luarocks5.4 openssl ;;
    check) say clang-extra-tools luarocks5.4 ;;
    fuzz) say clang compiler-rt ;;
    valgrind) say valgrind ;;
    bench) say wrk ;;
    examples) say sdl2-dev glib-dev g++ ;;
  esac
}

packages_pacman() {
  case $1 in
    build) say base-devel lua54 libuv openssl zlib brotli zstd libpsl ;;
    test) say lua54-luarocks openssl ;;
    check) say clang luacheck lua54-luarocks ;;
    fuzz) say clang compiler-rt ;;
    valgrind) say valgrind ;;
    bench) say wrk ;;
    examples) say sdl2 glib2 ;;
  esac
}

packages_brew() {
  case $1 in
    build) say pkgconf lua@5.4 libuv openssl@3 zlib brotli zstd libpsl ;;
    test) say luarocks ;;
    check) say clang-format luacheck luarocks ;;
    fuzz) say llvm ;;
    bench) say wrk ;;
    examples) say sdl2 glib ;;
  esac
}

# ---- Installing ---------------------------------------------------------------------------------

install_sets() {
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=$(command -v sudo >/dev/null 2>&1 && echo "sudo " || true)
  refresh=:
  if have apt-get; then
    manager=apt command="${sudo}apt-get install -y --no-install-recommends"
    refresh="${sudo}apt-get update -qq"   # a new machine's lists may be empty
  elif have dnf; then manager=dnf command="${sudo}dnf install -y"
  elif have apk; then manager=apk command="${sudo}apk add"
  elif have pacman; then manager=pacman command="${sudo}pacman -S --needed --noconfirm"
  elif have brew; then manager=brew command="brew install"
  else
    say "eddy: no known package manager; install by hand: a C compiler, make, pkg-config, Lua 5.4 with" \
      "headers, libuv, OpenSSL, zlib; for the tests also LuaUnit, luarocks and the openssl program" >&2
    exit 1
  fi

  packages=""
  for set in "$@"; do
    for package in $("packages_$manager" "$set"); do
      case " $packages " in *" $package "*) ;; *) packages="$packages $package" ;; esac
    done
  done

  [ "$refresh" = : ] || say "eddy: $refresh"
  say "eddy: $command$packages"
  if [ -n "${EDDY_NO_DEPS:-}" ]; then
    say "eddy: EDDY_NO_DEPS is set: run that yourself, then make again" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  $refresh
  $command $packages
}

# Where LuaUnit is no system package, luarocks has it.
install_luaunit() {
  command -v "$LUA" >/dev/null 2>&1 || LUA=$(command -v lua5.4 || command -v lua54 || command -v lua || say "$LUA")
  case " $* " in *" test "*) ;; *) return 0 ;; esac
  [ -n "$(need_module luaunit)" ] || return 0
  rocks=$(command -v luarocks-5.4 || command -v luarocks5.4 || command -v luarocks || true)
  [ -n "$rocks" ] || return 0
  say "eddy: $rocks --lua-version 5.4 install luaunit"
  "$rocks" --lua-version 5.4 install luaunit || "$rocks" --lua-version 5.4 install --local luaunit
}

action=${1:?usage: setup.sh missing|install SET...}
shift
case $action in
  missing) for set in "$@"; do "missing_$set"; done | sort -u ;;
  try)
    missing=$(for set in "$@"; do "missing_$set"; done | sort -u | tr '\n' ' ')
    [ -z "$missing" ] || (install_sets "$@") || say "eddy: cannot install $missing: what needs it is skipped" ;;
  install) install_sets "$@" && install_luaunit "$@" ;;
  *) say "setup.sh: unknown action $action" >&2; exit 2 ;;
esac
