/* SPDX-License-Identifier: MIT */
/*
** gather, settle, race, any: one operation over many members. A member is a function, run as a
** task in a block of its own around the call, or a task that exists already. Whatever happens,
** the call returns only when every member has ended: losers are cancelled and awaited.
**
** A member made here has no reference (unless somebody asks for eddy.current()), so that it costs no
** allocation. It is held until its result is collected; one that exists already may be let go at
** its end, and its result is in the argument. The memory is one block: the operation and a row per member.
*/
#include <string.h>

#include "core/block.h"
#include "core/class.h"
#include "core/error.h"
#include "core/task_ref.h"
#include "core/trace.h"
#include "sync/gathering.h"
#include "sync/sync.h"

/* ---- engine half ---- */

static size_t size_for (uint32_t n) { return sizeof(gathering) + n * sizeof(member); }

static void cancel_rows (ed_sweep *sweep) {
  gathering *g = ED_OF(sweep, gathering, sweep);
  for (uint32_t i = 0; i < g->n; i++)
    if (!g->row[i].is_own && g->row[i].task != NULL)
      ed_task_cancel(g->row[i].task, ED_BY_END);
}

/* Our own members are reached through the scope tree. */
static void cancel_foreign (gathering *g) { ed_scope_sweep(g->op.loop, &g->sweep); }

static void stop_rest (gathering *g) {
  if (g->is_stopping || g->left == 0) return;
  g->is_stopping = true;
  ed_scope_cancel(&g->block->scope, ED_BY_END);
  cancel_foreign(g);
}

static bool is_decided_by (const gathering *g, const member *m) {
  if (g->mode == GATHER_ALL) return m->state != ED_TASK_DONE;
  if (g->mode == GATHER_ANY) return m->state == ED_TASK_DONE;
  return g->mode == GATHER_RACE;
}

/* When the caller is cancelled its members are too; that is no failure of theirs. */
static bool is_swept_away (const gathering *g, const member *m) {
  return m->state == ED_TASK_CANCELLED && g->block->scope.cause != NULL;
}

static void note_end (member *m, ed_task_state state) {
  gathering *g = m->all;
  m->state = (uint8_t)state;
  if (!m->is_own) m->task = NULL;
  m->order = ++g->ended;
  g->left--;
  if (g->op.task == NULL || is_swept_away(g, m)) return; /* killed: its block is gone */
  if (g->is_stopping || g->winner != 0 || !is_decided_by(g, m)) return;
  g->winner = (uint32_t)(m - g->row) + 1;
  stop_rest(g);
}

/* From here on the answer stands: a cancellation that comes later finds it given. */
static void settle_cause (gathering *g) {
  ed_scope *cause = g->op.task != NULL ? g->block->scope.cause : NULL;
  if (cause != NULL && cause != &g->block->scope) g->cause = cause;
}

static void member_ended (ed_watch *watch, ed_task *task) {
  member *m = ED_OF(watch, member, watch);
  gathering *g = m->all;
  m->is_last = ed_list_is_empty(&task->watchers);
  note_end(m, task->state);
  if (g->left > 0) return;
  settle_cause(g);
  ed_op_complete(&g->op, 0);
}

/* Outer cancellation reaches our own members through the scope tree. */
static ed_verdict cancel_gather (ed_op *op) {
  cancel_foreign((gathering *)op);
  return ED_FINISHING;
}

static void drop_gather (ed_op *op) {
  gathering *g = (gathering *)op;
  ed_list_remove(&g->sweep.link);
  for (uint32_t i = 0; i < g->n; i++) {
    member *m = &g->row[i];
    ed_list_remove(&m->watch.link);
    if (!m->is_own) continue;
    m->task->is_held = false;
    if (ed_task_has_ended(m->task)) ed_task_release(m->task);
  }
  ed_mem_free(&op->loop->mem, g, size_for(g->room));
}

/* ---- Lua half: results ---- */

/* Push the reference of member 'i', which one of our own may not have. */
static void push_ref (lua_State *L, const gathering *g, uint32_t i) {
  if (g->row[i].is_own) ed_task_find(L, g->row[i].task);
  else ed_gathering_push_argument(L, g, i);
}

/* Push the first result of member 'i', or its error. Of our own it is taken away with that. */
static void push_first (lua_State *L, const gathering *g, uint32_t i) {
  ed_task *task = g->row[i].task;
  if (g->row[i].is_own) {
    if (!ed_task_take_first(L, task)) ed_task_push_first(L, task);
    return;
  }
  ed_gathering_push_argument(L, g, i);
  ed_ref_push_first(L, lua_touserdata(L, -1), -1);
  lua_remove(L, -2);
}

/* Push the error of member 'i', which is to be raised; its text becomes number 'n' of 'texts'. */
static void push_failed (
  lua_State *L, const gathering *g, uint32_t i, int texts, uint32_t n) {
  push_ref(L, g, i);
  if (g->row[i].is_own) ed_task_push_first(L, g->row[i].task);
  else ed_ref_push_first(L, lua_touserdata(L, -1), -1);
  ed_trace_push(L, g->op.loop, -2);
  lua_rawseti(L, texts, n);
  if (g->row[i].state == ED_TASK_FAILED) ed_trace_passes_on(L, g->op.task, -2);
  lua_remove(L, -2);
}

static bool has_failed (const gathering *g, uint32_t i) {
  return g->row[i].state == ED_TASK_FAILED;
}

static uint32_t count_failures (const gathering *g) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < g->n; i++) n += has_failed(g, i);
  return n;
}

/* Somebody else cancelled the member that has decided: that is raised, but not beside failures. */
static bool is_decided_by_cancel (const gathering *g) {
  return g->winner != 0 && g->row[g->winner - 1].state == ED_TASK_CANCELLED;
}

/* Push the failures in the order in which they happened; returns how many. */
static int push_failures (lua_State *L, const gathering *g, int texts) {
  uint32_t n = count_failures(g), seen = 0;
  int by_order = lua_gettop(L) + 1;
  if (n == 0 && is_decided_by_cancel(g)) {
    push_failed(L, g, g->winner - 1, texts, 1);
    return 1;
  }
  if (n == 0) return 0;
  luaL_checkstack(L, (int)n + 8, "too many failures");
  lua_createtable(L, (int)g->ended, 0);
  for (uint32_t i = 0; i < g->n; i++) {
    lua_pushboolean(L, has_failed(g, i));
    if (lua_toboolean(L, -1)) lua_pushinteger(L, i), lua_replace(L, -2);
    lua_rawseti(L, by_order, g->row[i].order);
  }
  for (uint32_t order = 1; order <= g->ended; order++) {
    bool is_failure = lua_rawgeti(L, by_order, order) == LUA_TNUMBER;
    uint32_t i = is_failure ? (uint32_t)lua_tointeger(L, -1) : 0;
    lua_pop(L, 1);
    if (is_failure) push_failed(L, g, i, texts, ++seen);
  }
  lua_remove(L, by_order);
  return (int)n;
}

static int push_list (lua_State *L, const gathering *g) {
  lua_createtable(L, (int)g->n, 1);
  for (uint32_t i = 0; i < g->n; i++) {
    push_first(L, g, i);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushinteger(L, g->n);
  lua_setfield(L, -2, "n");
  return 1;
}

static int push_each (lua_State *L, const gathering *g) {
  luaL_checkstack(L, (int)g->n + 4, "too many results");
  for (uint32_t i = 0; i < g->n; i++) push_first(L, g, i);
  return (int)g->n;
}

static int push_settled (lua_State *L, const gathering *g) {
  lua_createtable(L, (int)g->n, 1);
  for (uint32_t i = 0; i < g->n; i++) {
    bool ok = g->row[i].state == ED_TASK_DONE;
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, ok);
    lua_setfield(L, -2, "ok");
    push_first(L, g, i);
    lua_setfield(L, -2, ok ? "value" : "err");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushinteger(L, g->n);
  lua_setfield(L, -2, "n");
  return 1;
}

static int push_winner (lua_State *L, const gathering *g) {
  push_first(L, g, g->winner - 1);
  lua_pushinteger(L, g->winner);
  return 2;
}

static int push_results (lua_State *L, const gathering *g) {
  if (g->mode == GATHER_SETTLE) return push_settled(L, g);
  if (g->mode == GATHER_ALL) return g->is_list ? push_list(L, g) : push_each(L, g);
  return push_winner(L, g);
}

/* ---- Lua half: the outcome ---- */

/*
** No member of 'any' succeeded: their errors in the order of the arguments. What somebody cancelled is
** left out, unless there is nothing else.
*/
static void push_all_failed (lua_State *L, const gathering *g, int texts) {
  bool takes_all = count_failures(g) == 0;
  uint32_t n = 0;
  luaL_checkstack(L, (int)g->n + 8, "too many failures");
  for (uint32_t i = 0; i < g->n; i++)
    if (takes_all || has_failed(g, i)) push_failed(L, g, i, texts, ++n);
  ed_error_group(L, (int)n, texts);
}

/* Does the winner's own failure end the race? */
static bool has_failed_winner (const gathering *g) {
  return g->mode == GATHER_RACE && g->winner != 0
    && g->row[g->winner - 1].state != ED_TASK_DONE;
}

/* Did everything go well? Then there is no need for a table of tracebacks. */
static bool has_succeeded (const gathering *g) {
  if (g->cause != NULL) return false;
  if (g->mode == GATHER_ALL) return g->winner == 0;
  return g->mode == GATHER_SETTLE
    || (g->winner != 0 && g->row[g->winner - 1].state == ED_TASK_DONE);
}

/*
** Push what is to be raised, which is more than a cancellation from outside where the call would
** have raised it anyway: a failure of a 'gather', or the one that has decided a 'race'. What
** others have failed with is their own: 'settle' tells nobody, 'any' only when all have failed.
*/
static void push_error (lua_State *L, const gathering *g) {
  int texts = lua_gettop(L) + 1, n;
  lua_newtable(L);
  n = g->mode == GATHER_ALL ? push_failures(L, g, texts) : 0;
  if (n > 1) ed_error_group(L, n, texts);
  if (n > 0) return;
  if (has_failed_winner(g)) push_failed(L, g, g->winner - 1, texts, 1);
  else if (g->cause != NULL) ed_cancel_push(L, g->op.loop, g->cause);
  else push_all_failed(L, g, texts);
}

/* The block is closed first, because memory may run out on the way to results and errors. */
static int finish_gather (lua_State *L, ed_op *op) {
  gathering *g = (gathering *)op;
  g->is_finished = true;
  ed_block_close(L, g->block);
  if (has_succeeded(g)) return push_results(L, g);
  push_error(L, g);
  ed_op_abandon(op->task); /* what is raised leaves no operation behind */
  return lua_error(L);
}

static const ed_optype gather_types[] = {
  {.name = "gather",
    .finish = finish_gather,
    .cancel = cancel_gather,
    .drop = drop_gather,
    .is_internal = true,
    .give_back = ed_gathering_give_back,
    .withdraw = ed_gathering_withdraw},
  {.name = "settle",
    .finish = finish_gather,
    .cancel = cancel_gather,
    .drop = drop_gather,
    .is_internal = true,
    .give_back = ed_gathering_give_back,
    .withdraw = ed_gathering_withdraw},
  {.name = "race",
    .finish = finish_gather,
    .cancel = cancel_gather,
    .drop = drop_gather,
    .is_internal = true,
    .give_back = ed_gathering_give_back,
    .withdraw = ed_gathering_withdraw},
  {.name = "any",
    .finish = finish_gather,
    .cancel = cancel_gather,
    .drop = drop_gather,
    .is_internal = true,
    .give_back = ed_gathering_give_back,
    .withdraw = ed_gathering_withdraw},
};

/* ---- Lua half: the start ---- */

static gathering *new_gathering (
  lua_State *L, ed_task *task, gather_mode mode, uint32_t n) {
  gathering *g = ed_mem_new(&task->loop->mem, size_for(n));
  if (g == NULL) luaL_error(L, "not enough memory");
  memset(g, 0, sizeof *g);
  ed_list_init(&g->sweep.link);
  g->sweep.run = cancel_rows;
  g->mode = (uint8_t)mode;
  g->room = g->left = n;
  ed_op_adopt(task->loop, task, &gather_types[mode], &g->op);
  return g;
}

static member *add_member (gathering *g, ed_task *task, bool is_own) {
  member *m = &g->row[g->n++];
  m->all = g;
  m->task = task;
  m->order = m->state = 0;
  m->is_own = is_own;
  m->is_last = false;
  m->watch.ended = member_ended;
  m->watch.is_silent = false;
  ed_list_init(&m->watch.link);
  return m;
}

static void add_own (gathering *g, ed_task *task) {
  task->is_held = true;
  ed_list_append(&task->watchers, &add_member(g, task, true)->watch.link);
}

static void add_foreign (gathering *g, const ed_task_ref *ref) {
  member *m = add_member(g, ed_ref_task(ref), false);
  if (ed_ref_has_ended(ref)) {
    note_end(m, ed_ref_state(ref));
    return;
  }
  ed_list_append(&m->task->watchers, &m->watch.link);
  if (g->is_stopping) cancel_foreign(g); /* decided by a member before this one */
}

/* Nothing has run yet: what was begun is taken back. */
static void take_back (lua_State *L, gathering *g) {
  ed_block *block = g->block;
  g->is_stopping = true; /* which is nobody's failure */
  for (uint32_t i = 0; i < g->n; i++)
    if (g->row[i].is_own) ed_task_kill(g->row[i].task);
  ed_op_abandon(g->op.task);
  ed_block_close(L, block);
}

/* Call 'fn' with the value at the top, which its one result replaces, or take everything back. */
static void call_or_take_back (lua_State *L, gathering *g, lua_CFunction fn) {
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, g);
  lua_rotate(L, -3, 2);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) return;
  take_back(L, g);
  lua_error(L);
}

static ed_task *spawn_member (lua_State *L, gathering *g) {
  return ed_task_spawn(L, g->op.loop, &g->block->scope, 0, false);
}

/* (gathering, function) --> task */
static int l_spawn_member (lua_State *L) {
  lua_pushlightuserdata(L, spawn_member(L, lua_touserdata(L, 1)));
  return 1;
}

/* Is there all that a new member needs, so that nothing can fail? */
static bool is_at_hand (const ed_loop *loop) {
  return loop->nspare > 0 && !loop->current->has_vars && !loop->has_loose_vars;
}

/* The function at the top (popped) becomes a member. */
static void start_function (lua_State *L, gathering *g, ed_loop *loop) {
  ed_task *task;
  if (is_at_hand(loop)) task = spawn_member(L, g);
  else {
    call_or_take_back(L, g, l_spawn_member);
    task = lua_touserdata(L, -1);
    lua_pop(L, 1);
  }
  add_own(g, task);
}

/* (gathering, list) --> copy */
static int l_copy_list (lua_State *L) {
  const gathering *g = lua_touserdata(L, 1);
  lua_createtable(L, (int)g->room, 0);
  for (lua_Integer i = 1; i <= g->room; i++) {
    lua_rawgeti(L, 2, i);
    lua_rawseti(L, 3, i);
  }
  return 1;
}

/*
** A script may change its list while we wait, so a list with tasks in it, whose results are read
** through them, is exchanged for a copy.
*/
static void copy_list (lua_State *L, gathering *g) {
  if (!g->is_list || g->is_copied) return;
  lua_pushvalue(L, 1);
  call_or_take_back(L, g, l_copy_list);
  lua_replace(L, 1);
  g->is_copied = true;
}

static bool is_self (const ed_loop *loop, const ed_task_ref *ref) {
  return ref != NULL && ed_ref_task(ref) != NULL && ed_ref_task(ref) == loop->current;
}

/* Is the value at the top a task, or something to be called? */
static bool is_member (lua_State *L, const ed_task_ref *ref) {
  if (ref != NULL || lua_isfunction(L, -1)) return true;
  if (luaL_getmetafield(L, -1, "__call") == LUA_TNIL) return false;
  lua_pop(L, 1);
  return true;
}

/* The value at the top cannot be member 'i', which is an argument or in the list that is the only one. */
static int refuse_member (
  lua_State *L, uint32_t i, const ed_task_ref *ref, bool is_list) {
  if (ref != NULL) return luaL_error(L, "task cannot await itself");
  return luaL_argerror(L, is_list ? 1 : (int)i,
    lua_pushfstring(
      L, "member %d: function or Task expected, got %s", (int)i, luaL_typename(L, -1)));
}

/* The argument at the top (popped), which is no plain function, becomes a member. */
static void start_object (lua_State *L, gathering *g, ed_loop *loop) {
  const ed_task_ref *ref = ed_class_test(L, loop, -1, ED_CLASS_TASK);
  uint32_t i = g->n + 1;
  if (is_self(loop, ref) || !is_member(L, ref)) {
    bool is_list = g->is_list;
    take_back(L, g); /* which is the end of it */
    refuse_member(L, i, ref, is_list);
  }
  if (ref == NULL) {
    start_function(L, g, loop);
    return;
  }
  copy_list(L, g);
  if (g->is_list)
    lua_rawseti(L, 1, (lua_Integer)g->n + 1); /* a finalizer may have changed it */
  else lua_pop(L, 1);
  add_foreign(g, ref);
}

static void start_members (lua_State *L, gathering *g, ed_loop *loop, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    ed_gathering_push_argument(L, g, i);
    if (lua_isfunction(L, -1)) start_function(L, g, loop);
    else start_object(L, g, loop);
  }
}

static int start_all (
  lua_State *L, ed_task *task, gather_mode mode, uint32_t n, bool is_list) {
  gathering *g = new_gathering(L, task, mode, n);
  g->is_list = is_list;
  g->block = ed_block_open(L, task, ED_BLOCK_GATHER, ED_SCOPE_BLOCK);
  start_members(L, g, task->loop, n);
  if (g->left == 0) {
    settle_cause(g);
    ed_op_done(&g->op, 0);
  }
  return ed_await(L, &g->op, 0);
}

/* The length of the list at 1; one with a metatable, which may do anything, is copied. */
static uint32_t take_list (lua_State *L) {
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n >= 0, 1, "its length is negative");
  luaL_argcheck(L, n < 0x7fffffff, 1, "too many members");
  if (!lua_getmetatable(L, 1)) return (uint32_t)n;
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, 1, i);
    lua_rawseti(L, -2, i);
  }
  lua_replace(L, 1);
  lua_settop(L, 1);
  return (uint32_t)n;
}

/* Whoever cannot wait here is told of wrong arguments first. */
static void check_members (lua_State *L, ed_loop *loop, uint32_t n, bool is_list) {
  for (uint32_t i = 1; i <= n; i++) {
    const ed_task_ref *ref;
    if (is_list) lua_rawgeti(L, 1, i);
    else lua_pushvalue(L, (int)i);
    ref = ed_class_test(L, loop, -1, ED_CLASS_TASK);
    if (!is_member(L, ref) || is_self(loop, ref)) refuse_member(L, i, ref, is_list);
    lua_pop(L, 1);
  }
}

/* Members behind a list would not be looked at, and options there are none. */
static void take_rest (lua_State *L) {
  if (lua_gettop(L) > 1)
    luaL_argcheck(L, lua_isnil(L, 2), 2, "nothing comes behind a list of members");
  lua_settop(L, 1);
}

static int run_members (lua_State *L, gather_mode mode) {
  ed_loop *loop = ed_loop_of(L);
  bool is_list = lua_istable(L, 1);
  uint32_t n;
  if (mode != GATHER_ALL) luaL_checktype(L, 1, LUA_TTABLE);
  if (is_list) take_rest(L);
  n = is_list ? take_list(L) : (uint32_t)lua_gettop(L);
  if (n == 0 && mode >= GATHER_RACE) return luaL_argerror(L, 1, "no members");
  if (!ed_may_wait(L, loop)) check_members(L, loop, n, is_list);
  return start_all(L, ed_checkpoint_in(L, loop), mode, n, is_list);
}

/*
** eddy.gather(f, g, ...) --> first result of each;  eddy.gather(list) --> list with n
** Awaits. The first failure cancels the others and is raised when all have ended.
*/
static int l_gather (lua_State *L) { return run_members(L, GATHER_ALL); }

/*
** eddy.settle(list) --> list of {ok=true, value=} | {ok=false, err=}
** Awaits. Never raises for a member.
*/
static int l_settle (lua_State *L) { return run_members(L, GATHER_SETTLE); }

/*
** eddy.race(list) --> first result and index of the member that ends first
** Awaits. Raises that member's error if it failed.
*/
static int l_race (lua_State *L) { return run_members(L, GATHER_RACE); }

/*
** eddy.any(list) --> first result and index of the member that succeeds first
** Awaits. Raises an ErrorGroup if all fail.
*/
static int l_any (lua_State *L) { return run_members(L, GATHER_ANY); }

static const luaL_Reg functions[] = {
  {"gather", l_gather},
  {"settle", l_settle},
  {"race", l_race},
  {"any", l_any},
  {NULL, NULL},
};

void ed_open_gather (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
