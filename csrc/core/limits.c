/* SPDX-License-Identifier: MIT */
/*
** Accounts of tasks, the counting allocator, and the errors of those that used too much.
**
** The allocator refuses a request by saying that there is no memory. Nothing worse can come of
** that than an error in the middle of the task's turn, which it must be able to stand anyway.
*/
#include "core/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/error.h"
#include "core/push.h"
#include "core/slice.h"
#include "core/trace.h"

enum {
  RESERVE = 65536 /* bytes beyond twice its limit: for the clean-up of small tasks */
};

/* Registry key, by address: the errors of convicted tasks, weak keys. */
static const char errors_key = 0;

/* ---- options ---- */

/* The number in the field, greater than 0, or 0 when there is none. */
static lua_Number check_option (lua_State *L, int index, const char *name) {
  lua_Number value = 0;
  if (lua_getfield(L, index, name) != LUA_TNIL) {
    value = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (!(value > 0))
      luaL_error(L, "spawn_with option '%s' must be a positive number of %s", name,
        strcmp(name, "memory") == 0 ? "bytes" : "seconds");
  }
  lua_pop(L, 1);
  return value;
}

static uint64_t check_seconds (lua_State *L, int index, const char *name) {
  lua_Number seconds = check_option(L, index, name);
  return seconds > 0 ? ed_slice_ns(seconds) : 0;
}

bool ed_limits_check (lua_State *L, int index, ed_limits *limits) {
  lua_Number bytes;
  memset(limits, 0, sizeof *limits);
  limits->slice = check_seconds(L, index, "slice");
  limits->cpu = check_seconds(L, index, "cpu");
  if (limits->cpu == UINT64_MAX) limits->cpu = 0;
  bytes = check_option(L, index, "memory");
  if (bytes > 0 && bytes < 1) bytes = 1;
  limits->memory = bytes < (lua_Number)(SIZE_MAX / 4) ? (size_t)bytes : 0;
  return limits->slice != 0 || limits->cpu != 0 || limits->memory != 0;
}

/* ---- the allocator ---- */

/* Plain memory: should somebody put an allocator on top of ours, it stays for ever. */
typedef struct ed_quota {
  lua_Alloc alloc; /* the state's own */
  void *ud;
  ed_loop *loop; /* NULL: nothing is counted any more */
} ed_quota;

/* Must a request for so many bytes more be refused? */
static bool is_beyond (const ed_limits *limits, size_t more) {
  bool has_most = limits->memory < (SIZE_MAX - RESERVE) / 2;
  size_t most = has_most ? 2 * limits->memory + RESERVE : SIZE_MAX;
  return !limits->is_suspended && (more > most || limits->bytes > most - more);
}

static void add (ed_loop *loop, ed_limits *limits, size_t more) {
  limits->bytes += more;
  limits->is_refused = false;
  if (limits->bytes <= limits->memory || limits->is_noticed || limits->is_suspended)
    return;
  limits->is_noticed = true;
  ed_slice_interrupt(loop);
}

static void *count_and_allocate (void *ud, void *block, size_t old, size_t size) {
  ed_quota *quota = ud;
  ed_task *task = quota->loop != NULL ? quota->loop->current : NULL;
  ed_limits *limits = task != NULL ? ed_limits_get(task) : NULL;
  size_t before = block != NULL ? old : 0; /* else it is a type */
  void *moved;
  if (limits == NULL || limits->memory == 0)
    return quota->alloc(quota->ud, block, old, size);
  if (size > before && is_beyond(limits, size - before)) {
    limits->is_refused = true;
    return NULL;
  }
  moved = quota->alloc(quota->ud, block, old, size);
  if (moved == NULL && size > 0) return NULL;
  if (size > before) add(quota->loop, limits, size - before);
  else limits->bytes -= before - size < limits->bytes ? before - size : limits->bytes;
  return moved;
}

static void put_allocator (lua_State *L, ed_loop *loop) {
  ed_quota *quota = loop->quota;
  if (quota != NULL && quota->loop != NULL) return;
  if (quota == NULL) quota = calloc(1, sizeof *quota);
  if (quota == NULL) luaL_error(L, "not enough memory");
  quota->loop = loop;
  quota->alloc = lua_getallocf(L, &quota->ud);
  lua_setallocf(L, count_and_allocate, quota);
  loop->quota = quota;
}

/* True when nobody can call it any more. */
static bool take_allocator (lua_State *L, ed_quota *quota) {
  void *ud;
  if (lua_getallocf(L, &ud) != count_and_allocate || ud != quota) return false;
  lua_setallocf(L, quota->alloc, quota->ud);
  quota->loop = NULL;
  return true;
}

void ed_limits_close (lua_State *L, ed_loop *loop) {
  ed_quota *quota = loop->quota;
  ed_mem_free(&loop->mem, loop->spare_limits, sizeof *loop->spare_limits);
  loop->spare_limits = NULL;
  if (quota == NULL) return;
  loop->quota = NULL;
  if (quota->loop == NULL || take_allocator(L, quota)) free(quota);
  else quota->loop = NULL; /* somebody else's is on top of it: it only passes on now */
}

/* ---- accounts ---- */

/* The next task's, which stays when spawning it fails. */
static bool make_spare (ed_loop *loop) {
  if (loop->spare_limits == NULL)
    loop->spare_limits = ed_mem_new(&loop->mem, sizeof *loop->spare_limits);
  return loop->spare_limits != NULL;
}

void ed_limits_prepare (lua_State *L, ed_loop *loop, const ed_limits *limits) {
  int status = ed_slice_prepare(loop, limits);
  if (status == 0 && !make_spare(loop)) status = UV_ENOMEM;
  if (status == UV_ENOMEM) luaL_error(L, "not enough memory");
  if (status < 0) luaL_error(L, "cannot start the watchdog: %s", uv_strerror(status));
  if (limits->memory != 0) put_allocator(L, loop);
}

void ed_limits_set (ed_task *task, const ed_limits *limits) {
  ed_loop *loop = task->loop;
  struct ed_nest *nest = task->nest;
  task->limits = loop->spare_limits;
  task->has_limits = true;
  loop->spare_limits = NULL;
  *task->limits = *limits;
  task->limits->nest = nest;
  if (limits->memory != 0) loop->nquotas++;
  ed_slice_count(loop, 1);
}

ed_limits *ed_limits_of (ed_task *task, uint64_t used) {
  static const ed_limits none = {0};
  if (task->has_limits || !make_spare(task->loop)) return ed_limits_get(task);
  ed_limits_set(task, &none);
  task->limits->used = task->limits->alone = used;
  ed_limits_begin(task->limits, true);
  return task->limits;
}

static void forget_error (lua_State *L, ed_task *task) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &errors_key) == LUA_TTABLE) {
    ed_task_find(L, task);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL) { /* an existing key: storing allocates nothing */
      lua_pushvalue(L, -2);
      lua_pushnil(L);
      lua_rawset(L, -5);
    }
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

void ed_limits_free (ed_task *task) {
  ed_loop *loop = task->loop;
  ed_limits *limits = task->limits;
  if (limits->excess != ED_WITHIN_LIMITS) forget_error(loop->L, task);
  if (limits->memory != 0 && --loop->nquotas == 0 && loop->quota != NULL)
    take_allocator(loop->L, loop->quota);
  task->has_limits = false;
  task->nest = limits->nest;
  ed_mem_free(&loop->mem, limits, sizeof *limits);
  ed_slice_count(loop, -1);
}

void ed_limits_weigh (lua_State *L, ed_task *task) {
  ed_limits *limits = task->limits;
  if (!limits->is_noticed) return;
  lua_gc(L, LUA_GCCOLLECT);
  if (limits->bytes <= limits->memory) limits->is_noticed = false;
  else if (limits->excess == ED_WITHIN_LIMITS) limits->excess = ED_OVER_MEMORY;
}

/* ---- time ---- */

static uint64_t cpu_clock (void) {
  struct timespec now;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) return 0;
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void ed_limits_begin (ed_limits *limits, bool goes_on) {
  if (!goes_on) limits->alone = 0;
  limits->mark = cpu_clock();
}

void ed_limits_end (ed_limits *limits) {
  uint64_t now = cpu_clock();
  limits->used += now - limits->mark;
  limits->alone += now - limits->mark;
  limits->mark = now;
}

uint64_t ed_limits_used (const ed_limits *limits) {
  return limits->used + cpu_clock() - limits->mark;
}

uint64_t ed_limits_alone (const ed_limits *limits) {
  return limits->alone + cpu_clock() - limits->mark;
}

/* ---- the error ---- */

static void say (lua_State *L, ed_task *task, char *text, size_t room) {
  const ed_limits *limits = task->limits;
  char name[80];
  ed_task_quote(L, task, name, sizeof name);
  if (limits->excess == ED_OVER_MEMORY)
    snprintf(
      text, room, "%s needs more than its %zu bytes of memory", name, limits->memory);
  else if (limits->excess == ED_OVER_PATIENCE)
    snprintf(text, room, "%s was stopped by the host: it did not wait", name);
  else if (limits->cpu != 0 && limits->used >= limits->cpu)
    snprintf(
      text, room, "%s has used up its %g s of CPU time", name, (double)limits->cpu / 1e9);
  else
    snprintf(text, room, "%s ran for %g s of CPU time without waiting", name,
      (double)limits->alone / 1e9);
}

static const char *code_of (const ed_limits *limits) {
  return limits->excess == ED_OVER_MEMORY ? "memory" : "cpu";
}

static void push_new_error (lua_State *L, ed_task *task) {
  char text[240];
  say(L, task, text, sizeof text);
  ed_error_push(L, "limit", code_of(task->limits), NULL, NULL, text);
}

/* Where it is now, without this C function, should it run on top of that. */
static void push_stack (lua_State *L, ed_task *task) {
  static const char top[] = "stack traceback:\n\t[C]: in hook '?'\n";
  const char *text;
  ed_trace_push_live(L, task);
  text = lua_tostring(L, -1);
  if (strncmp(text, top, sizeof top - 1) != 0) return;
  lua_pushfstring(L, "stack traceback:\n%s", text + sizeof top - 1);
  lua_replace(L, -2);
}

void ed_limits_push (lua_State *L, ed_task *task) {
  luaL_checkstack(L, 8, "limit");
  ed_push_weak(L, &errors_key, "k");
  ed_task_push(L, task);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    push_new_error(L, task);
    ed_task_push(L, task);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
}

/* (task): its error has a stack, that of the moment if it had none. */
static int l_add_stack (lua_State *L) {
  ed_task *task = lua_touserdata(L, 1);
  ed_limits_push(L, task);
  if (lua_getfield(L, 2, "traceback") != LUA_TNIL) return 0;
  push_stack(L, task);
  lua_setfield(L, 2, "traceback");
  return 0;
}

void ed_limits_convict (lua_State *L, ed_task *task, ed_excess excess, bool has_stack) {
  ed_limits *limits = task->limits;
  if (limits->excess == ED_WITHIN_LIMITS) limits->excess = (uint8_t)excess;
  if (!has_stack) return;
  limits->is_suspended = true;
  lua_pushcfunction(L, l_add_stack);
  lua_pushlightuserdata(L, task);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
  limits->is_suspended = false;
}

/* (task) --> error; its text is filed as that of the task's failure. */
static int l_take_error (lua_State *L) {
  ed_task *task = lua_touserdata(L, 1);
  ed_limits_push(L, task);
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->loop->tracebacks);
  ed_task_push(L, task);
  lua_getfield(L, 2, "traceback");
  lua_rawset(L, 3);
  lua_settop(L, 2);
  return 1;
}

/* Leaves the error on the stack, or what stands for one without memory. */
static void take_error (lua_State *L, ed_task *task) {
  task->limits->is_suspended = true;
  lua_pushcfunction(L, l_take_error);
  lua_pushlightuserdata(L, task);
  lua_pcall(L, 1, 1, 0);
  task->limits->is_suspended = false;
}

bool ed_limits_fail (ed_task *task) {
  lua_State *L = task->loop->L;
  if (!ed_limits_has_excess(task)) return false;
  take_error(L, task);
  if (ed_task_find(L, task)) {
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
    task->shape = 1;
  } else lua_pop(L, 1);
  lua_pop(L, 1);
  return true;
}

void ed_limits_replace (lua_State *L, ed_task *task) {
  ed_limits *limits = task->limits;
  if (limits->excess == ED_WITHIN_LIMITS && limits->is_refused)
    limits->excess = ED_OVER_MEMORY;
  if (limits->excess == ED_WITHIN_LIMITS) return;
  take_error(L, task);
  lua_replace(L, -2);
}
