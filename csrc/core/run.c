/* SPDX-License-Identifier: MIT */
/*
** Running a root task with the loop until it and everything it owns has ended.
**
** The run marks a value to be closed on the caller's stack. However the run is left, also by
** lua_close from inside a task (os.exit(code, true)), closing that value kills what still
** lives and closes every handle, before any finalizer runs.
*/
#include "core/run.h"

#include <string.h>

#include "core/class.h"
#include "core/coroutine.h"
#include "core/error.h"
#include "core/probe.h"
#include "core/slice.h"

enum { MAX_INDENT = 32 }; /* of the task tree */

/* ---- the way out ---- */

/* A root that has ended keeps its slot until its results were taken, or nobody will. */
static void release_root (ed_loop *loop) {
  ed_task *root = loop->root;
  if (root == NULL || !ed_task_has_ended(root)) return;
  loop->root = NULL;
  root->is_held = false;
  ed_task_release(root);
}

static void end_run (lua_State *L, ed_loop *loop) {
  if (!loop->is_running) return;
  release_root(loop);
  ed_loop_drain(L, loop);
  ed_task_trim(loop, 64);
  ed_cancel_forget(L, loop, &loop->top);
  loop->top.why = ED_NOT_CANCELLED;
  loop->top.cause = NULL;
  loop->root = NULL;
  loop->is_running = false;
}

static int l_end_run (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  if (loop != NULL) end_run(L, loop);
  return 0;
}

/* Push a value whose closing ends the run, and mark it. */
static void push_guard (lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, l_end_run, 1);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, -2);
  lua_insert(L, 1);
  lua_toclose(L, 1);
}

/* ---- deadlock ---- */

/* Deeper than that a number stands for the indentation, so that the whole stays linear. */
static void indent (lua_State *L, luaL_Buffer *b, int depth) {
  for (int i = 1; i < depth && i < MAX_INDENT; i++) luaL_addstring(b, "  ");
  if (depth <= MAX_INDENT) return;
  lua_pushfstring(L, "(%d) ", depth);
  luaL_addvalue(b);
}

void ed_dump_push (lua_State *L, ed_loop *loop) {
  luaL_Buffer b;
  ed_scope *top = &loop->top, *at = top;
  int depth = 0;
  luaL_buffinit(L, &b);
  while ((at = ed_scope_after(at, top, &depth)) != NULL) {
    if (at->kind != ED_SCOPE_TASK || ed_task_has_ended(at->host)) continue;
    indent(L, &b, depth);
    ed_task_push_line(L, at->host);
    luaL_addvalue(&b);
    luaL_addchar(&b, '\n');
  }
  luaL_pushresult(&b);
}

static void push_deadlock (lua_State *L, ed_loop *loop) {
  size_t len;
  const char *tree;
  ed_dump_push(L, loop);
  tree = lua_tolstring(L, -1, &len);
  lua_pushlstring(L, tree, len > 0 ? len - 1 : 0); /* without the last newline */
  lua_replace(L, -2);
  lua_pushfstring(L, "nothing can ever run again; waiting are:\n%s", lua_tostring(L, -1));
  ed_error_push(L, "deadlock", NULL, NULL, NULL, lua_tostring(L, -1));
  lua_insert(L, -3);
  lua_pop(L, 2);
}

/* The first time everything is cancelled; who waits again after that is killed. */
static void break_deadlock (lua_State *L, ed_loop *loop, bool is_first) {
  if (is_first) {
    push_deadlock(L, loop);
    for (ed_link *at = loop->top.children.next; at != &loop->top.children; at = at->next)
      ed_task_cancel(ED_OF(at, ed_task, sibling), ED_BY_DEADLOCK);
  } else ed_task_kill(loop->root);
}

/* ---- run ---- */

static void root_ended (ed_watch *watch, ed_task *task) { (void)watch, (void)task; }

/* Turn until the root has ended. True if it had to be freed from a deadlock (error pushed). */
static bool run_root (lua_State *L, ed_loop *loop) {
  bool deadlocked = false;
  while (!ed_task_has_ended(loop->root)) {
    bool is_stuck = ed_loop_is_stuck(loop);
    if (is_stuck) {
      break_deadlock(L, loop, !deadlocked);
      deadlocked = true;
    }
    ed_loop_turn(loop, !is_stuck); /* a shield may have kept the cancel out: look again */
  }
  return deadlocked;
}

/* Background tasks end with the root, and what they still begin never runs. */
static void run_rest (ed_loop *loop) {
  ed_scope_cancel(&loop->top, ED_BY_END);
  while (loop->ntasks > 0) {
    if (ed_loop_is_stuck(loop))
      break; /* they wait again: the end of the run kills them */
    ed_loop_turn(loop, true);
  }
}

/* Push what the run returns, or raise what it ends with. */
static int push_outcome (lua_State *L, ed_task *root, bool deadlocked) {
  int n;
  if (deadlocked) return lua_error(L);
  n = ed_task_push_results(L, root);
  return root->state == ED_TASK_DONE ? n : lua_error(L);
}

bool ed_config_is_off (lua_State *L, ed_loop *loop, const char *name) {
  bool is_off;
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->config);
  lua_getfield(L, -1, name);
  is_off = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  lua_pop(L, 2);
  return is_off;
}

static void start_watchdog (lua_State *L, ed_loop *loop) {
  int status = ed_slice_start(loop);
  if (status < 0) luaL_error(L, "cannot start the watchdog: %s", uv_strerror(status));
}

static void prepare_run (lua_State *L, ed_loop *loop) {
  int status = ed_loop_start(loop);
  if (status < 0) luaL_error(L, "cannot start the loop: %s", uv_strerror(status));
  start_watchdog(L, loop);
  if (!ed_config_is_off(L, loop, "coroutine")) ed_coroutine_install(L, loop, true);
  push_guard(L);
  loop->L = L;
  loop->is_running = true;
  if (loop->probe != NULL) ed_probe_begin(loop->probe);
  loop->now = ed_loop_now(loop);
}

/* (fn, arguments..., loop) --> results */
static int run_inside (lua_State *L) {
  ed_loop *loop = lua_touserdata(L, -1);
  bool deadlocked;
  lua_pop(L, 1);
  loop->root = ed_task_spawn(L, loop, &loop->top, lua_gettop(L) - 1, false);
  loop->root->is_held = true;
  loop->root_watch.ended = root_ended;
  ed_list_append(&loop->root->watchers, &loop->root_watch.link);
  deadlocked = run_root(L, loop);
  if (loop->probe != NULL) ed_probe_ended(loop);
  run_rest(loop);
  return push_outcome(L, loop->root, deadlocked);
}

/*
** eddy.run(fn, ...) --> results of fn
** Runs 'fn' as the root task until it and all its children have ended; raises its error. The end
** of the run needs no memory: without any, Lua could not even call what closes the guard.
*/
static int l_run (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  int status;
  ed_check_callable(L, 1);
  if (loop->is_running) return luaL_error(L, "already running: just call the function");
  luaL_checkstack(L, 4, "too many arguments");
  prepare_run(L, loop);
  lua_pushcfunction(L, run_inside);
  lua_insert(L, 2);
  lua_pushlightuserdata(L, loop);
  status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  end_run(L, loop);
  lua_closeslot(L, 1);
  ed_task_shrink(L, loop);
  return status == LUA_OK ? lua_gettop(L) - 1 : lua_error(L);
}

/* ---- config, stats, dump ---- */

static const char *const options[] = {"on_error", "clock", "kill_grace", "coroutine",
  "seed", "workers", "worker_init", "worker_memory", "slice", "warn_blocking", NULL};

static bool is_one_of (const char *name, const char *const *list) {
  while (*list != NULL && strcmp(name, *list) != 0) list++;
  return *list != NULL;
}

static void check_clock (lua_State *L) {
  const char *clock = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  if (strcmp(clock, "real") != 0 && strcmp(clock, "manual") != 0)
    luaL_error(L, "config option 'clock' must be \"real\" or \"manual\"");
}

static void check_worker_option (lua_State *L, const char *name) {
  int is_integer;
  if (strcmp(name, "worker_init") == 0) {
    if (!lua_isfunction(L, -1))
      luaL_error(L, "config option 'worker_init' must be a function");
  } else if (lua_type(L, -1) != LUA_TNUMBER || !(lua_tonumber(L, -1) >= 1)
    || (lua_tointegerx(L, -1, &is_integer), strcmp(name, "workers") == 0 && !is_integer))
    luaL_error(L, "config option '%s' must be a positive %s", name,
      strcmp(name, "workers") == 0 ? "integer" : "number of bytes");
}

/* All options are checked before any is stored. */
static void check_option (lua_State *L, const char *name) {
  bool is_off = !lua_toboolean(L, -1);
  if (!is_one_of(name, options)) luaL_error(L, "unknown config option '%s'", name);
  if (is_off) return;
  if (strcmp(name, "on_error") == 0 && !lua_isfunction(L, -1))
    luaL_error(L, "config option 'on_error' must be a function");
  if (strcmp(name, "coroutine") == 0 && !lua_isboolean(L, -1))
    luaL_error(L, "config option 'coroutine' must be a boolean");
  if (strcmp(name, "kill_grace") == 0
    && !(lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) >= 0))
    luaL_error(L, "config option 'kill_grace' must be seconds");
  if (strcmp(name, "clock") == 0) check_clock(L);
  if (strcmp(name, "seed") == 0 && !lua_isinteger(L, -1))
    luaL_error(L, "config option 'seed' must be an integer");
  if ((strcmp(name, "slice") == 0 || strcmp(name, "warn_blocking") == 0)
    && !(lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) > 0))
    luaL_error(L, "config option '%s' must be a positive number of seconds", name);
  if (strncmp(name, "worker", 6) == 0) check_worker_option(L, name);
}

/* A manual clock may have jumped ahead of the system's: then the real one goes on from there. */
static void use_clock (ed_loop *loop, bool is_manual) {
  if (is_manual == loop->is_manual) return;
  loop->clock = ed_loop_now(loop);
  loop->since = uv_hrtime();
  loop->is_manual = is_manual;
  if (is_manual || loop->is_paced || loop->clock <= loop->since) return;
  loop->is_paced = true;
  loop->pace = 1;
}

static void set_clock (lua_State *L, ed_loop *loop) {
  const char *clock;
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->config);
  lua_getfield(L, -1, "clock");
  clock = lua_toboolean(L, -1) ? lua_tostring(L, -1) : "real";
  use_clock(loop, strcmp(clock, "manual") == 0);
  lua_pop(L, 2);
}

static void set_kill_grace (lua_State *L, ed_loop *loop) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->config);
  lua_getfield(L, -1, "kill_grace");
  loop->kill_grace = ED_KILL_GRACE;
  if (lua_isnumber(L, -1)) {
    lua_Number ms = lua_tonumber(L, -1) * 1e3;
    loop->kill_grace = ms < (lua_Number)(UINT32_MAX / 2) ? (uint32_t)ms : UINT32_MAX / 2;
  }
  lua_pop(L, 2);
}

static void set_seed (lua_State *L, ed_loop *loop) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->config);
  lua_getfield(L, -1, "seed");
  ed_probe_seed(L, loop);
  lua_pop(L, 1);
}

/* The ns of an option of the table at 1; 0 when it is off; what it was if nothing is said. */
static uint64_t given_ns (lua_State *L, const char *name, uint64_t ns) {
  int type = lua_getfield(L, 1, name);
  if (type == LUA_TNUMBER) ns = ed_slice_ns(lua_tonumber(L, -1));
  else if (type != LUA_TNIL) ns = 0;
  lua_pop(L, 1);
  return ns;
}

static void set_slices (lua_State *L, ed_loop *loop) {
  ed_policy policy = ed_slice_policy(loop);
  policy.slice = given_ns(L, "slice", policy.slice);
  policy.warn = given_ns(L, "warn_blocking", policy.warn);
  if (!ed_slice_set(loop, &policy)) luaL_error(L, "not enough memory");
  if (loop->is_running) start_watchdog(L, loop);
}

/*
** eddy.config{on_error=, clock=, kill_grace=, coroutine=, seed=, slice=, warn_blocking=}
** Belongs to the runtime and persists between runs; false restores a default. Raises while a
** run is on.
*/
static int l_config (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (loop->is_running && (loop->root != NULL || loop->current != NULL))
    return luaL_error(L, "config cannot change while eddy.run is on");
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) return luaL_error(L, "config options have names");
    check_option(L, lua_tostring(L, -2));
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->config);
  for (lua_pushnil(L); lua_next(L, 1);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, 2);
  }
  set_clock(L, loop);
  set_kill_grace(L, loop);
  set_seed(L, loop);
  set_slices(L, loop);
  if (ed_config_is_off(L, loop, "coroutine")) ed_coroutine_install(L, loop, false);
  return 0;
}

static void set_count (lua_State *L, const char *field, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, field);
}

/*
** eddy.stats() --> {tasks=, operations=, handles=, timers=, files=, jobs=, bytes=}
*/
static int l_stats (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  lua_createtable(L, 0, 7);
  set_count(L, "tasks", loop->ntasks);
  set_count(L, "operations", loop->nops);
  set_count(L, "handles", loop->nhandles);
  set_count(L, "timers", loop->timers.count);
  set_count(L, "files", loop->nfiles);
  set_count(L, "jobs", loop->njobs);
  set_count(L, "bytes", (lua_Integer)loop->mem.bytes);
  return 1;
}

/*
** eddy.dump([write]) --> string
** The tree of live tasks and what each waits for; 'write' is called with it when given.
*/
static int l_dump (lua_State *L) {
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) ed_check_callable(L, 1);
  ed_dump_push(L, ed_loop_of(L));
  if (lua_isnil(L, 1)) return 1;
  lua_call(L, 1, 0);
  return 0;
}

static const luaL_Reg functions[] = {
  {"run", l_run},
  {"config", l_config},
  {"stats", l_stats},
  {"dump", l_dump},
  {NULL, NULL},
};

void ed_open_run (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
