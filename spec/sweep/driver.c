/* SPDX-License-Identifier: MIT */
/*
** driver SCRIPT [ARGS]: a Lua interpreter that can make more of its kind. The script gets a table
** with 'run', which loads another script in a fresh Lua state with an allocator of its own; that
** one may ask for the allocator to fail, and for the state to be closed under it (as os.exit does).
** Afterwards nothing of the state may be left: no byte of Lua's, no byte of eddy's, no descriptor.
**
** A run that takes too long, or crashes, ends the process with its label on stderr, so that it
** can be repeated.
*/
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "compat.h"
#include "core/loop.h"

int luaopen_eddy_core (lua_State *L);

enum { MAX_DESCRIPTOR = 128, SECONDS = 10 };

static char label[256] = "(no run)"; /* of what runs now, for the signal handler */

/* ---- the allocator ---- */

typedef struct heap {
  size_t bytes;
  size_t requests; /* since it was armed */
  size_t fail_at;  /* 0: never */
  bool for_good, is_armed;
} heap;

/* Lua asks again after an emergency collection: once means that time, too. */
static bool must_fail (heap *h) {
  if (!h->is_armed) return false;
  h->requests++;
  if (h->fail_at == 0) return false;
  return h->requests >= h->fail_at && (h->for_good || h->requests <= h->fail_at + 1);
}

static void *allocate (void *ud, void *block, size_t old, size_t size) {
  heap *h = ud;
  void *moved;
  if (block == NULL) old = 0;
  if (size == 0) {
    h->bytes -= old;
    free(block);
    return NULL;
  }
  if (size > old && must_fail(h)) return NULL;
  moved = realloc(block, size);
  if (moved != NULL) h->bytes += size - old;
  return moved;
}

/* ---- a fresh state ---- */

typedef struct fresh {
  lua_State *L;
  heap heap;
  size_t remains; /* eddy's bytes after the end; SIZE_MAX: it has not come so far */
  bool uses_eddy;
  jmp_buf out; /* where 'quit' goes when the state is closed */
} fresh;

static fresh *fresh_of (lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

/*
** sweep.arm([boolean])
** From now on requests are counted, and one of them fails if this run is for that.
*/
static int l_arm (lua_State *L) {
  fresh_of(L)->heap.is_armed = lua_isnone(L, 1) || lua_toboolean(L, 1);
  return 0;
}

/*
** sweep.quit()
** The state is closed where it stands; does not return.
*/
static int l_quit (lua_State *L) {
  fresh *f = fresh_of(L);
  f->heap.is_armed = false;
  lua_close(f->L);
  longjmp(f->out, 1);
}

/*
** sweep.watch()
** eddy has been loaded: hear how much it leaves.
*/
static int l_watch (lua_State *L) {
  fresh *f = fresh_of(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key);
  ((ed_box *)lua_touserdata(L, -1))->loop->remains = &f->remains;
  f->uses_eddy = true;
  return 0;
}

/*
** sweep.label(text)
** The next run begins: what it is, and its time.
*/
static int l_label (lua_State *L) {
  snprintf(label, sizeof label, "%s", luaL_checkstring(L, 1));
  alarm(SECONDS);
  return 0;
}

static const luaL_Reg inside[] = {
  {"arm", l_arm},
  {"quit", l_quit},
  {"watch", l_watch},
  {"label", l_label},
  {NULL, NULL},
};

static int add_traceback (lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static void open_libraries (lua_State *L) {
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_eddy_core);
  lua_setfield(L, -2, "eddy.core");
  lua_pop(L, 1);
}

/* In the fresh state, protected: (fresh, script, {arguments}) --> string */
static int run_script (lua_State *L) {
  fresh *f = lua_touserdata(L, 1);
  const char *const *word = lua_touserdata(L, 2);
  int n = 0;
  open_libraries(L);
  lua_pushcfunction(L, add_traceback);
  if (luaL_loadfile(L, word[0]) != LUA_OK) return lua_error(L);
  luaL_newlibtable(L, inside);
  lua_pushlightuserdata(L, f);
  luaL_setfuncs(L, inside, 1);
  while (word[++n] != NULL) lua_pushstring(L, word[n]);
  if (lua_pcall(L, n, 1, 3) != LUA_OK) return lua_error(L);
  return 1;
}

/* The result or the error as text in the controlling state. */
static void hand_over (lua_State *C, lua_State *L, int status) {
  const char *text = lua_tostring(L, -1);
  lua_pushstring(C, text);
  lua_setfield(C, -2, status == LUA_OK ? "answer" : "err");
}

static void run_fresh (lua_State *C, fresh *f, const char *const *word) {
  int status;
  if (setjmp(f->out) != 0) {
    lua_pushboolean(C, 1);
    lua_setfield(C, -2, "has_quit");
    return;
  }
  f->L = ed_lua_newstate(allocate, &f->heap);
  if (f->L == NULL) return;
  lua_pushcfunction(f->L, run_script);
  lua_pushlightuserdata(f->L, f);
  lua_pushlightuserdata(f->L, (void *)word);
  status = lua_pcall(f->L, 2, 1, 0);
  f->heap.is_armed = false;
  hand_over(C, f->L, status);
  lua_close(f->L);
}

/* ---- the controlling state ---- */

static int count_descriptors (void) {
  int n = 0;
  for (int fd = 0; fd < MAX_DESCRIPTOR; fd++) n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

static void set_number (lua_State *C, const char *field, size_t n) {
  lua_pushinteger(C, (lua_Integer)n);
  lua_setfield(C, -2, field);
}

/*
** run({label=, fail_at=, for_good=, script, argument...}) -->
**   {answer=|err=|has_quit=, requests=, bytes=, remains=, descriptors=}
*/
static int l_run (lua_State *C) {
  const char *word[16] = {NULL};
  fresh *f = lua_newuserdatauv(C, sizeof *f, 0);
  int open = count_descriptors(), n = (int)luaL_len(C, 1);
  memset(f, 0, sizeof *f);
  f->remains = SIZE_MAX;
  luaL_argcheck(C, n > 0 && n < 16, 1, "too many arguments");
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(C, 1, i);
    word[i - 1] = luaL_checkstring(C, -1);
  }
  lua_getfield(C, 1, "label");
  snprintf(label, sizeof label, "%s", luaL_checkstring(C, -1));
  lua_getfield(C, 1, "fail_at");
  f->heap.fail_at = (size_t)luaL_optinteger(C, -1, 0);
  lua_getfield(C, 1, "for_good");
  f->heap.for_good = lua_toboolean(C, -1);
  alarm(SECONDS);
  lua_newtable(C);
  run_fresh(C, f, word);
  alarm(0);
  set_number(C, "requests", f->heap.requests);
  set_number(C, "bytes", f->heap.bytes);
  set_number(C, "remains", f->uses_eddy ? f->remains : 0);
  set_number(C, "descriptors", (size_t)(count_descriptors() - open));
  return 1;
}

static void write_label (const char *what) {
  char line[400];
  int n = snprintf(line, sizeof line, "sweep: %s in: %s\n", what, label);
  if (write(STDERR_FILENO, line, (size_t)n) < 0) _exit(4);
}

static void on_signal (int number) {
  write_label(number == SIGALRM ? "no end" : "crash");
  signal(number, SIG_DFL);
  if (number == SIGALRM) abort();
  raise(number);
}

#if defined(__SANITIZE_ADDRESS__)
void __asan_set_death_callback (void (*callback)(void));
static void on_death (void) { write_label("report of a sanitizer"); }
static void catch_crashes (void) { __asan_set_death_callback(on_death); }
#else
static void catch_crashes (void) {
  signal(SIGSEGV, on_signal);
  signal(SIGABRT, on_signal);
  signal(SIGBUS, on_signal);
}
#endif

/*
** eddy says on stderr which errors could not even be reported: plenty, without memory. What is
** said here, and by sanitizers, goes around that.
*/
static void hush (void) {
#if defined(__GLIBC__)
  FILE *nowhere = fopen("/dev/null", "w");
  if (nowhere != NULL) stderr = nowhere;
#endif
}

static int run_main (lua_State *C) {
  char **argv = lua_touserdata(C, 1);
  int n = 0;
  luaL_openlibs(C);
  lua_pushcfunction(C, add_traceback);
  if (luaL_loadfile(C, argv[1]) != LUA_OK) return lua_error(C);
  lua_pushcfunction(C, l_run);
  for (char **word = argv + 2; *word != NULL; word++, n++) lua_pushstring(C, *word);
  if (lua_pcall(C, n + 1, 1, 2) != LUA_OK) return lua_error(C);
  return 1;
}

int main (int argc, char **argv) {
  lua_State *C = luaL_newstate();
  int status;
  if (C == NULL || argc < 2) return fputs("usage: driver SCRIPT [ARGS]\n", stderr), 2;
  hush();
  signal(SIGALRM, on_signal);
  catch_crashes();
  lua_pushcfunction(C, run_main);
  lua_pushlightuserdata(C, argv);
  status = lua_pcall(C, 1, 1, 0);
  if (status != LUA_OK) printf("%s\n", lua_tostring(C, -1));
  else status = lua_toboolean(C, -1) ? 0 : 1;
  lua_close(C);
  return status == 0 ? 0 : 1;
}
