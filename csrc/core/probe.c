/* SPDX-License-Identifier: MIT */
/*
** The probe: turns of a watched runtime, and the table core.probe by which lua/eddy/testing.lua
** and the sweeps of spec/ reach it. That table is private: it can end any task of the run.
**
** Order by a seed: the ready list of a turn is shuffled in place by inverse riffles, that is,
** split by random bits and joined, often enough for its length. Each resume costs O(log n) then,
** and the list stays what tasks are taken out of when they are killed.
*/
#include "core/probe.h"

#include <stdio.h>
#include <string.h>

#include "core/block.h"
#include "core/class.h"
#include "core/handle.h"
#include "core/site.h"
#include "core/slice.h"

enum { WHERE_ROOM = 160 };

/* ---- life ---- */

static ed_probe *need_probe (lua_State *L, ed_loop *loop) {
  ed_probe *probe = loop->probe;
  if (probe != NULL) return probe;
  probe = ed_loop_calloc(loop, sizeof *probe);
  if (probe == NULL) luaL_error(L, "not enough memory");
  ed_list_init(&probe->batch);
  probe->hooks = probe->held = LUA_NOREF;
  loop->probe = probe;
  return probe;
}

static void forget_tables (lua_State *L, ed_probe *probe) {
  luaL_unref(L, LUA_REGISTRYINDEX, probe->hooks);
  luaL_unref(L, LUA_REGISTRYINDEX, probe->held);
  probe->hooks = probe->held = LUA_NOREF;
  probe->has_point = probe->has_ended = false;
  probe->late_at = 0;
}

void ed_probe_free (ed_loop *loop) {
  ed_mem_free(&loop->mem, loop->probe, sizeof *loop->probe);
  loop->probe = NULL;
}

/* A probe that watches nothing is none. */
static void retire (ed_loop *loop) {
  const ed_probe *probe = loop->probe;
  if (probe->is_shuffling || probe->is_collecting || probe->hooks != LUA_NOREF) return;
  if (!loop->is_running) ed_probe_free(loop);
}

void ed_probe_seed (lua_State *L, ed_loop *loop) {
  bool is_on = lua_toboolean(L, -1);
  if (is_on) need_probe(L, loop)->seed = (uint64_t)lua_tointeger(L, -1);
  if (loop->probe != NULL) {
    loop->probe->is_shuffling = is_on;
    retire(loop);
  }
  lua_pop(L, 1);
}

void ed_probe_begin (ed_probe *probe) { probe->random = probe->seed; }

/* ---- the order of a turn ---- */

/* SplitMix64: any seed is a good one. */
static uint64_t draw (ed_probe *probe) {
  uint64_t z = probe->random += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* All of 'from' behind the last of 'to'. */
static void move_all (ed_link *from, ed_link *to) {
  if (ed_list_is_empty(from)) return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  ed_list_init(from);
}

static unsigned length (const ed_link *list) {
  unsigned n = 0;
  for (const ed_link *at = list->next; at != list; at = at->next) n++;
  return n;
}

static void riffle (ed_probe *probe, ed_link *list) {
  ed_link low, high, *link;
  uint64_t bits = 0;
  ed_list_init(&low), ed_list_init(&high);
  for (unsigned i = 0; (link = ed_list_shift(list)) != NULL; i++, bits >>= 1) {
    if (i % 64 == 0) bits = draw(probe);
    ed_list_append(bits & 1 ? &high : &low, link);
  }
  move_all(&low, list), move_all(&high, list);
}

/* Each link gets about twice as many random bits as would tell the links apart. */
static void shuffle_all (ed_probe *probe, ed_link *list) {
  unsigned rounds = 4;
  for (unsigned n = length(list); n > 1; n /= 2) rounds += 2;
  while (rounds-- > 0) riffle(probe, list);
}

/*
** Any order will do, but sleep(0) has promised that what was ready before goes first. So those
** tasks stay behind what they are behind now; the others are mixed between two of them, or come
** before all.
*/
static void shuffle (ed_probe *probe, ed_link *list) {
  ed_link front, part, rest, *link;
  ed_list_init(&front), ed_list_init(&part), ed_list_init(&rest);
  while ((link = ed_list_shift(list)) != NULL) {
    ed_task *task = ED_OF(link, ed_task, ready);
    bool has_yielded = task->has_yielded;
    task->has_yielded = false;
    if (!has_yielded && (ed_list_is_empty(&rest) || draw(probe) & 1)) {
      ed_list_append(&front, link);
      continue;
    }
    if (has_yielded) shuffle_all(probe, &part), move_all(&part, &rest);
    ed_list_append(has_yielded ? &rest : &part, link);
  }
  shuffle_all(probe, &front), shuffle_all(probe, &part);
  move_all(&front, list), move_all(&rest, list), move_all(&part, list);
}

/* ---- hooks ---- */

static void call_hook (ed_loop *loop, const char *name) {
  lua_State *L = loop->L;
  luaL_checkstack(L, 6, "probe");
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->probe->hooks);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  lua_call(L, 0, 0);
}

void ed_probe_ended (ed_loop *loop) {
  if (loop->probe->has_ended) call_hook(loop, "ended");
}

uint64_t ed_probe_patience (const ed_probe *probe, uint64_t ms) {
  uint64_t now = uv_hrtime(), left;
  if (probe->late_at == 0) return ms;
  left = probe->late_at > now ? (probe->late_at - now) / 1000000 + 1 : 0;
  return left < ms ? left : ms;
}

/* A hook may kill the task that was next, or take the probe's hooks away. */
static void run_batch (ed_loop *loop, ed_probe *probe) {
  while (!ed_list_is_empty(&probe->batch)) {
    ed_link *next;
    if (probe->is_collecting) lua_gc(loop->L, LUA_GCCOLLECT);
    if (probe->has_point) call_hook(loop, "point");
    if ((next = ed_list_shift(&probe->batch)) == NULL) break;
    loop->luck = ED_LUCK;
    loop->now = ed_loop_now(loop);
    /* others are before a task that 'ready' has as its first, or might be */
    loop->is_nested = probe->is_shuffling || !ed_list_is_empty(&probe->batch);
    ed_task_resume(loop, ED_OF(next, ed_task, ready));
    loop->is_nested = false;
  }
  if (probe->has_point) call_hook(loop, "point");
}

void ed_probe_turn (ed_loop *loop) {
  ed_probe *probe = loop->probe;
  if (probe->late_at != 0 && uv_hrtime() >= probe->late_at) {
    probe->late_at = 0;
    call_hook(loop, "late");
  }
  if (!probe->is_shuffling && !probe->is_collecting && !probe->has_point) {
    ed_loop_run_ready(loop);
    return;
  }
  move_all(&loop->ready, &probe->batch);
  if (probe->is_shuffling) shuffle(probe, &probe->batch);
  if (!ed_list_is_empty(&probe->batch)) run_batch(loop, probe);
}

/* ---- names ---- */

/* Is this a function of the library's own Lua half, which stands between the script and us? */
static bool is_library (const lua_Debug *at) {
  const char *name = strrchr(at->source, '/');
  return name != NULL && strcmp(name, "/pool.lua") == 0
    && strstr(at->source, "eddy/pool.lua");
}

/* Push "file:line" of the innermost function of the script in L, or "?". */
static void push_where (lua_State *L, lua_State *of) {
  lua_Debug at;
  for (int level = 0; lua_getstack(of, level, &at); level++) {
    if (!lua_getinfo(of, "Sl", &at) || at.currentline <= 0 || is_library(&at)) continue;
    lua_pushfstring(L, "%s:%d", at.short_src, at.currentline);
    return;
  }
  lua_pushliteral(L, "?");
}

void ed_probe_note_hold (lua_State *L, ed_loop *loop, int index, const char *what) {
  if (!loop->probe->has_ended) return;
  index = lua_absindex(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->probe->held);
  lua_pushvalue(L, index);
  push_where(L, L);
  lua_pushfstring(L, "%s acquired at %s", what, lua_tostring(L, -1));
  lua_remove(L, -2);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void ed_probe_note_release (lua_State *L, ed_loop *loop, int index) {
  if (!loop->probe->has_ended) return;
  index = lua_absindex(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->probe->held);
  lua_pushvalue(L, index);
  if (lua_rawget(L, -2) != LUA_TNIL) {
    lua_pushvalue(L, index);
    lua_pushnil(L);
    lua_rawset(L, -4);
  }
  lua_pop(L, 2);
}

/* ---- Lua: hooks and tables ---- */

/*
** probe.watch{point=, late=, ended=};  probe.watch()
** Functions to be called without arguments: 'point' before each resume and at the end of each
** turn in which a task ran; 'late' when the time of probe.limit is over; 'ended' when the root
** task has ended and background tasks have not been cancelled yet. Without a table: none.
*/
static int l_watch (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_probe *probe;
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    if (loop->probe == NULL) return 0;
    forget_tables(L, loop->probe);
    retire(loop);
    return 0;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  probe = need_probe(L, loop);
  forget_tables(L, probe);
  lua_newtable(L);
  probe->held = luaL_ref(L, LUA_REGISTRYINDEX);
  probe->has_point = lua_getfield(L, 1, "point") == LUA_TFUNCTION;
  probe->has_ended = lua_getfield(L, 1, "ended") == LUA_TFUNCTION;
  lua_settop(L, 1);
  probe->hooks = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static ed_probe *check_watched (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  if (loop->probe == NULL || loop->probe->hooks == LUA_NOREF)
    luaL_error(L, "nothing is watched");
  return loop->probe;
}

/*
** probe.limit([seconds])
** The 'late' hook is called once when so much real time has gone by; nil or infinite: never.
*/
static int l_limit (lua_State *L) {
  ed_probe *probe = check_watched(L);
  uint64_t ns = ed_opt_seconds(L, 1, UINT64_MAX);
  probe->late_at = ns == UINT64_MAX ? 0 : ed_after(uv_hrtime(), ns);
  return 0;
}

/*
** probe.collect(boolean)
** A full collection before each resume, from now on.
*/
static int l_collect (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  need_probe(L, loop)->is_collecting = lua_toboolean(L, 1);
  retire(loop);
  return 0;
}

/*
** probe.preempt(count [, everywhere]) --> integer
** Every task is preempted after each 'count' instructions, from its next resume on; 0: no more.
** With 'everywhere' also in the library's own Lua, which is not made for that. Returns how
** often tasks of this state have been preempted so far.
*/
static int l_preempt (lua_State *L) {
  int so_far = ed_slice_every(
    ed_loop_of(L), (int)luaL_checkinteger(L, 1), lua_toboolean(L, 2));
  if (so_far < 0) return luaL_error(L, "not enough memory");
  lua_pushinteger(L, so_far);
  return 1;
}

/*
** probe.config() --> table
** A copy of what eddy.config has been given.
*/
static int l_config (lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, ed_loop_of(L)->config);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, -3);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  return 1;
}

/* ---- Lua: interfering ---- */

static ed_task *live_root (lua_State *L) {
  ed_task *root = ed_loop_of(L)->root;
  return root != NULL && !ed_task_has_ended(root) ? root : NULL;
}

/*
** probe.root() --> Task | nil
** The root task, as long as it lives.
*/
static int l_root (lua_State *L) {
  ed_task *root = live_root(L);
  if (root == NULL) return 0;
  ed_task_push(L, root);
  return 1;
}

/*
** probe.tasks() --> {Task...}
** All that live, owners before what they own.
*/
static int l_tasks (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_scope *top = &loop->top;
  int depth = 0;
  lua_newtable(L);
  for (ed_scope *at = top; (at = ed_scope_after(at, top, &depth)) != NULL;) {
    if (at->kind != ED_SCOPE_TASK || ed_task_has_ended(at->host)) continue;
    ed_task_push(L, at->host);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
  return 1;
}

/*
** probe.coroutine() --> thread | nil
** In a 'point' hook: what is resumed next.
*/
static int l_coroutine (lua_State *L) {
  ed_probe *probe = check_watched(L);
  lua_State *co;
  if (ed_list_is_empty(&probe->batch)) return 0;
  co = ED_OF(probe->batch.next, ed_task, ready)->leaf;
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  return 1;
}

static ed_task *any_task (const ed_loop *loop) {
  const ed_link *children = &loop->top.children;
  for (ed_link *at = children->next; at != children; at = at->next)
    if (!ed_task_has_ended(ED_OF(at, ed_task, sibling)))
      return ED_OF(at, ed_task, sibling);
  return NULL;
}

/*
** probe.kill([all])
** Kill the root task, as the runtime does with one that cannot be stopped; with true also the
** background tasks. In hooks only.
*/
static int l_kill (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_task *task = live_root(L);
  if (loop->current != NULL) return luaL_error(L, "a task cannot do that");
  if (task != NULL) ed_task_kill(task);
  while (lua_toboolean(L, 1) && (task = any_task(loop)) != NULL) ed_task_kill(task);
  return 0;
}

/* The outermost deadline among the root's own blocks that has not passed. */
static ed_block *pending_deadline (const ed_task *root) {
  for (ed_scope *at = root->root.inner; at != NULL; at = at->inner) {
    ed_block *block = ED_OF(at, ed_block, scope);
    if (block->due != UINT64_MAX && block->timer.place != 0) return block;
  }
  return NULL;
}

/*
** probe.expire() --> boolean
** The outermost deadline of the root task's blocks passes now. In hooks only.
*/
static int l_expire (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_task *root = live_root(L);
  ed_block *block = root != NULL ? pending_deadline(root) : NULL;
  lua_pushboolean(L, block != NULL);
  if (block == NULL) return 1;
  ed_heap_remove(&loop->timers, &block->timer);
  ed_block_fire(block);
  return 1;
}

/*
** probe.fail([n [, for_good]]) --> integer
** eddy's own n-th request for memory from now fails, with 'for_good' all behind it too; without
** 'n' none will. Returns how many were still to come before.
*/
static int l_fail (lua_State *L) {
  ed_mem *mem = &ed_loop_of(L)->mem;
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)mem->fail_in);
  ed_mem_trim(mem); /* what is kept for reuse would not be asked for */
  mem->fail_in = (size_t)luaL_optinteger(L, 1, 0);
  mem->fails_on = lua_toboolean(L, 2);
  return 1;
}

/*
** probe.hold(object, what);  probe.release(object)
** For Lua code whose values must be given back; see probe.leaks.
*/
static int l_hold (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  if (loop->probe != NULL) ed_probe_note_hold(L, loop, 1, luaL_checkstring(L, 2));
  return 0;
}

static int l_release (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  if (loop->probe != NULL) ed_probe_note_release(L, loop, 1);
  return 0;
}

/* ---- Lua: looking ---- */

/*
** probe.next() --> string
** In a 'point' hook: the task that is resumed next, or at the end of a turn what the root does.
*/
static int l_next (lua_State *L) {
  ed_probe *probe = check_watched(L);
  ed_task *root = live_root(L);
  if (!ed_list_is_empty(&probe->batch))
    ed_task_push_line(L, ED_OF(probe->batch.next, ed_task, ready));
  else if (root != NULL) ed_task_push_line(L, root);
  else lua_pushliteral(L, "main has ended");
  return 1;
}

static void append (lua_State *L, int list) {
  lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
}

static void list_task (lua_State *L, int list, ed_task *task) {
  ed_task_push_line(L, task);
  if (ed_site_push(L, task) == 0) lua_pushliteral(L, "?");
  push_where(L, ed_task_leaf(task));
  lua_pushfstring(L, "%s%s (spawned at %s, now at %s)",
    strncmp(lua_tostring(L, list + 1), "task ", 5) == 0 ? "" : "task ",
    lua_tostring(L, list + 1), lua_tostring(L, list + 2), lua_tostring(L, list + 3));
  append(L, list);
  lua_settop(L, list);
}

/* A task that has been cancelled is on its way out. */
static void list_tasks (lua_State *L, int list, ed_loop *loop) {
  ed_scope *top = &loop->top;
  int depth = 0;
  for (ed_scope *at = top; (at = ed_scope_after(at, top, &depth)) != NULL;)
    if (at->kind == ED_SCOPE_TASK && !ed_task_has_ended(at->host) && at->cause == NULL)
      list_task(L, list, at->host);
}

static void list_handles (lua_State *L, int list, ed_loop *loop) {
  for (ed_link *at = loop->handles.next; at != &loop->handles; at = at->next) {
    const ed_handle *handle = ED_OF(at, ed_handle, link);
    char text[WHERE_ROOM] = "";
    if (handle->is_closing || handle->is_spare) continue;
    if (handle->describe != NULL) handle->describe(handle, text, sizeof text);
    else
      snprintf(
        text, sizeof text, "handle (%s)", uv_handle_type_name(handle->uv.any.type));
    lua_pushstring(L, text);
    append(L, list);
  }
}

static void list_held (lua_State *L, int list, ed_probe *probe) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, probe->held);
  for (lua_pushnil(L); lua_next(L, list + 1);) append(L, list);
  lua_settop(L, list);
}

/*
** probe.leaks() --> {string...}
** Tasks that live and were not cancelled, handles that are open and what was taken since probe.watch and not given
** back, each by name.
*/
static int l_leaks (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_probe *probe = check_watched(L);
  lua_settop(L, 0);
  lua_newtable(L);
  list_tasks(L, 1, loop);
  list_handles(L, 1, loop);
  list_held(L, 1, probe);
  if (loop->nfiles > 0) {
    lua_pushfstring(L, "%d files", (int)loop->nfiles);
    append(L, 1);
  }
  return 1;
}

typedef struct clock_state {
  uint64_t clock, since;
  double pace;
  bool is_paced, is_manual;
} clock_state;

/*
** probe.clock([state]) --> state
** What the clock is like, as a string; or bring that back. A test's own clock ends with the test.
*/
static int l_clock (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  clock_state s;
  memset(&s, 0, sizeof s); /* the gaps too: it becomes a string */
  if (lua_rawlen(L, 1) == sizeof s) {
    memcpy(&s, lua_tostring(L, 1), sizeof s);
    loop->clock = s.clock, loop->since = s.since, loop->pace = s.pace;
    loop->is_paced = s.is_paced, loop->is_manual = s.is_manual;
    return 0;
  }
  s.clock = loop->clock, s.since = loop->since, s.pace = loop->pace;
  s.is_paced = loop->is_paced, s.is_manual = loop->is_manual;
  lua_pushlstring(L, (const char *)&s, sizeof s);
  return 1;
}

static const luaL_Reg functions[] = {
  {"watch", l_watch},
  {"limit", l_limit},
  {"clock", l_clock},
  {"collect", l_collect},
  {"preempt", l_preempt},
  {"config", l_config},
  {"root", l_root},
  {"tasks", l_tasks},
  {"coroutine", l_coroutine},
  {"kill", l_kill},
  {"expire", l_expire},
  {"fail", l_fail},
  {"hold", l_hold},
  {"release", l_release},
  {"next", l_next},
  {"leaks", l_leaks},
  {NULL, NULL},
};

void ed_open_probe (lua_State *L, int box) {
  box = lua_absindex(L, box);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
  ed_probe_open_files(L);
  lua_setfield(L, -2, "probe");
}
