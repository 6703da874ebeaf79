/* SPDX-License-Identifier: MIT */
/*
** The program: a Lua state with eddy inside, which runs module 'eddy.cli' and returns what its
** 'main' answers. What the options mean is decided there, in Lua; here is only what must stand
** before the first line of Lua: the environment that the libraries read while they open, the
** modules of the library, and SIGPIPE.
**
** A program may change its process, a library must not; so this is the only file that does.
*/
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "eddy.h"

/* ---- SIGPIPE ------------------------------------------------------------------------------ */

/*
** A peer that hangs up is an answer of the write, and no reason to die. But when nobody reads
** what the program prints, it ends as other programs do: 'print' does not look at errors, and
** 'eddy script | head' would run on for ever. A closed pipe tells itself by POLLERR. A handler,
** unlike SIG_IGN, is not inherited by the commands that a script starts.
*/
static void at_broken_pipe (int number) {
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  if (poll(&out, 1, 0) != 1 || !(out.revents & POLLERR)) return;
  signal(number, SIG_DFL);
  raise(number);
}

static void handle_broken_pipes (void) {
  struct sigaction action = {.sa_handler = at_broken_pipe, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGPIPE, &action, NULL);
}

/* ---- The state ---------------------------------------------------------------------------- */

/* Is -E among the options? The package library looks at the environment when it opens. */
static bool has_no_environment (char **argv) {
  for (int i = 1; argv[0] != NULL && argv[i] != NULL && argv[i][0] == '-'; i++) {
    char option = argv[i][1];
    bool is_short = option != '\0' && argv[i][2] == '\0';
    if (option == '\0' || (option == '-' && is_short)) return false;
    if (option == 'E' && is_short) return true;
    if ((option == 'e' || option == 'l') && is_short && argv[++i] == NULL) return false;
  }
  return false;
}

/* The words of the command line in the global 'arg'; eddy.cli moves the script to arg[0]. */
static void set_arguments (lua_State *L, int argc, char **argv) {
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_setglobal(L, "arg");
}

/* ---- Running ------------------------------------------------------------------------------ */

static int add_traceback (lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

/* require("eddy.cli").main(arg), protected by the caller. */
static int l_main (lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_checkversion(L);
  if (has_no_environment(argv)) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  eddy_preload(L);
  set_arguments(L, argc, argv);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "eddy.cli");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_getglobal(L, "arg");
  lua_call(L, 1, 2);
  return 2;
}

int main (int argc, char **argv) {
  int code = EXIT_FAILURE;
  bool is_stuck = false;
  lua_State *L = luaL_newstate();
  if (L == NULL) {
    fputs("eddy: not enough memory\n", stderr);
    return EXIT_FAILURE;
  }
  handle_broken_pipes();
  lua_pushcfunction(L, add_traceback);
  lua_pushcfunction(L, l_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  if (lua_pcall(L, 2, 2, 1) == LUA_OK) {
    code = (int)lua_tointeger(L, -2);
    is_stuck = lua_toboolean(L, -1);
  } else fprintf(stderr, "eddy: %s\n", lua_tostring(L, -1));
  lua_close(L);
  if (
    is_stuck) { /* libuv would wait for its threads, for as long as a name server is silent */
    fflush(NULL);
    _exit(code);
  }
  return code;
}
