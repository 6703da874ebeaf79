/* SPDX-License-Identifier: MIT */
/*
** Watching many tasks at once and being told of their ends in the order in which they happen: what
** eddy.as_completed (in Lua) stands on. The watcher counts as somebody awaiting each of them, until
** it is collected. One row per task inside the userdata; a row is in the watchers of its task, then
** in the list of those that ended, then nowhere.
*/
#include "core/class.h"
#include "core/task_ref.h"
#include "sync/sync.h"

typedef struct completions completions;

typedef struct row {
  ed_watch watch;
  completions *all;
} row;

typedef struct next_end {
  ed_op op;
  completions *all; /* anchored by the waiter's first argument */
} next_end;

struct completions {
  ed_link ended; /* rows not yet told, in order of ending */
  next_end *waiting;
  uint32_t n;
  uint32_t live;
  row rows[];
};

/* ---- engine half ---- */

static void task_ended (ed_watch *watch, ed_task *task) {
  completions *all = ED_OF(watch, row, watch)->all;
  next_end *waiting = all->waiting;
  (void)task;
  all->live--;
  ed_list_append(&all->ended, &watch->link);
  if (waiting == NULL) return;
  all->waiting = NULL;
  ed_op_complete(&waiting->op, 0);
}

static ed_verdict cancel_next (ed_op *op) {
  ((next_end *)op)->all->waiting = NULL;
  ed_op_release(op);
  return ED_STOPPED;
}

/* ---- Lua half ---- */

/* The completions are at index 1; */
static int give_next (lua_State *L, completions *all) {
  ed_link *first = ed_list_shift(&all->ended);
  const ed_task_ref *ref;
  lua_Integer index;
  if (first == NULL) return 0;
  index = ED_OF(first, row, watch.link) - all->rows + 1;
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, index);
  ref = ed_ref_check(L, -1);
  lua_pushinteger(L, index);
  lua_pushboolean(L, ed_ref_state(ref) == ED_TASK_DONE);
  ed_ref_push_first(L, ref, -3);
  return 3;
}

static int finish_next (lua_State *L, ed_op *op) {
  return give_next(L, ((next_end *)op)->all);
}

static const ed_optype next_type = {
  .name = "as_completed",
  .finish = finish_next,
  .cancel = cancel_next,
  .drop = ed_drop_plain,
  .is_internal = true,
};

static completions *check_completions (lua_State *L) {
  return ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_COMPLETIONS);
}

/*
** completions:next() --> index of the task that ended next, ok, its first result or its error
** Nothing when all were told.
** Awaits. Cancelling loses no end: the next call tells it.
*/
static int l_next (lua_State *L) {
  completions *all = check_completions(L);
  next_end *waiting;
  ed_task *task;
  bool is_there;
  if (all->waiting != NULL)
    return luaL_error(L, "another task is waiting for the next one to complete");
  lua_settop(L, 1);
  task = ed_checkpoint(L);
  is_there = all->live == 0 || !ed_list_is_empty(&all->ended);
  if (is_there && ed_spend(task->loop)) return give_next(L, all);
  waiting = ed_op_new_for(L, task, &next_type, sizeof *waiting);
  waiting->all = all;
  if (is_there) ed_op_done(&waiting->op, 0);
  else all->waiting = waiting;
  return ed_await(L, &waiting->op, 0);
}

static void watch_task (completions *all, row *r, const ed_task_ref *ref) {
  r->all = all;
  r->watch.ended = task_ended;
  ed_list_init(&r->watch.link);
  if (ed_ref_has_ended(ref)) {
    ed_list_append(&all->ended, &r->watch.link);
    return;
  }
  all->live++;
  ed_list_append(&ed_ref_task(ref)->watchers, &r->watch.link);
}

/*
** core.completions(tasks) --> Completions
** 'tasks' is a list of Task objects, which must stay as it is.
*/
static int l_completions (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  completions *all;
  lua_Integer n;
  luaL_checktype(L, 1, LUA_TTABLE);
  n = luaL_len(L, 1);
  luaL_argcheck(L, n >= 0 && n < 0x7fffffff, 1, "too many tasks");
  all = ed_class_push(
    L, loop, ED_CLASS_COMPLETIONS, sizeof *all + (size_t)n * sizeof(row), 1);
  ed_list_init(&all->ended);
  for (; all->n < (uint32_t)n; all->n++) {
    lua_rawgeti(L, 1, (lua_Integer)all->n + 1);
    watch_task(all, &all->rows[all->n], ed_ref_check(L, -1));
    lua_pop(L, 1);
  }
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1); /* the tasks live as long as their rows */
  return 1;
}

/* A task that has not ended is alive, and with it the list that its row is in. */
static int l_gc (lua_State *L) {
  completions *all = lua_touserdata(L, 1);
  if (ed_loop_opt(L) == NULL) return 0;
  while (all->n > 0) ed_list_remove(&all->rows[--all->n].watch.link);
  return 0;
}

static const luaL_Reg functions[] = {
  {"completions", l_completions},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"next", l_next},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__gc", l_gc},
  {NULL, NULL},
};

void ed_open_completions (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_COMPLETIONS, "eddy.Completions", methods, meta, box);
  ed_setfuncs(L, functions, box);
}
