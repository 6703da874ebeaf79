/* SPDX-License-Identifier: MIT */
/*
** select: wait for whichever of several objects has something first. Commits exactly one: at the
** call the lowest ready index, later whoever hands something over first. In the object's own
** queue of waiters a select stands like any other, so nobody is overtaken by it or because of it.
**
** The memory is one block, the operation and a row for each object. The objects lie in a list of
** our own at index 1, so that a script that changes its table meanwhile changes nothing.
*/
#include "sync/select.h"

#include <stdio.h>
#include <string.h>

#include "core/class.h"
#include "core/task_ref.h"
#include "sync/sync.h"

typedef struct selecting {
  ed_op op; /* first */
  ed_alarm alarm;
  uint32_t n;
  uint32_t winner; /* index + 1; 0: the time was over */
  bool has_value;  /* lies on the stack of the task */
  ed_choice row[];
} selecting;

/* ---- engine half ---- */

static size_t size_for (uint32_t n) { return sizeof(selecting) + n * sizeof(ed_choice); }

/* Away from everything it stands at. */
static void leave_all (selecting *s) {
  for (uint32_t i = 0; i < s->n; i++) {
    ed_list_remove(&s->row[i].place.link);
    ed_list_remove(&s->row[i].watch.link);
  }
  ed_heap_remove(&s->op.loop->timers, &s->alarm.timer);
}

static void decide (selecting *s, uint32_t winner, bool has_value) {
  s->winner = winner;
  s->has_value = has_value;
  leave_all(s);
  ed_op_complete(&s->op, 0);
}

void ed_select_win (ed_choice *choice, bool has_value) {
  selecting *s = (selecting *)choice->select;
  decide(s, (uint32_t)(choice - s->row) + 1, has_value);
}

static void ring_select (ed_alarm *alarm) {
  decide(ED_OF(alarm, selecting, alarm), 0, false);
}

static ed_verdict cancel_select (ed_op *op) {
  leave_all((selecting *)op);
  ed_op_release(op);
  return ED_STOPPED;
}

static void drop_select (ed_op *op) {
  ed_mem_free(&op->loop->mem, op, size_for(((selecting *)op)->n));
}

/* ---- tasks: they have watchers, not places ---- */

static void task_ended (ed_watch *watch, ed_task *task) {
  (void)task;
  ed_select_win(ED_OF(watch, ed_choice, watch), false);
}

static bool task_is_ready (const void *ref) { return ed_ref_has_ended(ref); }

static void task_join (void *object, ed_choice *choice) {
  choice->watch.ended = task_ended;
  ed_list_append(&ed_ref_task(object)->watchers, &choice->watch.link);
}

static int task_finish (lua_State *L, void *object, bool has_value) {
  (void)object, (void)has_value;
  lua_pushboolean(L, 1);
  return 1;
}

static const ed_choosable task_choosable = {
  .class = ED_CLASS_TASK,
  .is_ready = task_is_ready,
  .join = task_join,
  .finish = task_finish,
};

static const ed_choosable *const kinds[] = {
  &ed_queue_choosable, &ed_event_choosable, &ed_future_choosable, &task_choosable, NULL};

/* ---- Lua half ---- */

/* index, values of the winner; or nil when the time was over. */
static int finish_select (lua_State *L, ed_op *op) {
  selecting *s = (selecting *)op;
  const ed_choice *won = &s->row[s->winner - 1];
  bool has_value = s->has_value;
  if (s->winner == 0) {
    lua_pushnil(L);
    return 1;
  }
  s->has_value = false;
  lua_pushinteger(L, s->winner);
  if (has_value) lua_insert(L, -2); /* below the value, which is on top for 'finish' */
  return 1 + won->kind->finish(L, won->object, has_value);
}

static void give_back_select (lua_State *co, ed_op *op) {
  selecting *s = (selecting *)op;
  const ed_choice *won = &s->row[s->winner - 1];
  if (!s->has_value) return;
  s->has_value = false;
  lua_rawgeti(co, 1, s->winner);
  lua_insert(co, -2);
  won->kind->give_back(co, lua_gettop(co) - 1, won->object);
}

static void describe_select (const ed_op *op, char *text, size_t room) {
  snprintf(text, room, "%u things", (unsigned)((const selecting *)op)->n);
}

const ed_optype ed_choice_type = {.name = "select"};

static const ed_optype select_type = {
  .name = "select",
  .finish = finish_select,
  .cancel = cancel_select,
  .drop = drop_select,
  .is_internal = true,
  .describe = describe_select,
  .give_back = give_back_select,
};

/* The kind of the value at the top, and the object itself. */
static const ed_choosable *find_kind (lua_State *L, ed_loop *loop, void **object) {
  for (const ed_choosable *const *kind = kinds; *kind != NULL; kind++)
    if ((*object = ed_class_test(L, loop, -1, (*kind)->class)) != NULL) return *kind;
  return NULL;
}

static void check_member (lua_State *L, ed_loop *loop, lua_Integer i) {
  void *object;
  const ed_choosable *kind = find_kind(L, loop, &object);
  if (kind == NULL)
    luaL_argerror(L, 1,
      lua_pushfstring(L, "member %d: queue, event, task or future expected, got %s",
        (int)i, luaL_typename(L, -1)));
  if (kind == &task_choosable && loop->current != NULL
    && ed_ref_task(object) == loop->current)
    luaL_error(L, "task cannot await itself");
}

/* Only members 1..n and 'timeout'. */
static void check_keys (lua_State *L, lua_Integer n) {
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    lua_Integer i = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
    if (i >= 1 && i <= n) continue;
    if (lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "timeout") == 0)
      continue;
    luaL_tolstring(L, -2, NULL);
    luaL_error(L, "unknown select option '%s'", lua_tostring(L, -1));
  }
}

/* Replace the table at 1 by a list of its members, each checked. */
static uint32_t take_members (lua_State *L, ed_loop *loop) {
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n >= 0, 1, "its length is negative");
  luaL_argcheck(L, n < 0x1000000, 1, "too many members");
  check_keys(L, n);
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, 1, i);
    check_member(L, loop, i);
    lua_rawseti(L, -2, i);
  }
  lua_replace(L, 1);
  return (uint32_t)n;
}

/* In ns; UINT64_MAX: none. */
static uint64_t take_timeout (lua_State *L, uint32_t n) {
  bool is_given = lua_getfield(L, 1, "timeout") != LUA_TNIL;
  uint64_t ns = UINT64_MAX;
  if (is_given && lua_type(L, -1) != LUA_TNUMBER)
    luaL_error(L, "timeout: number expected, got %s", luaL_typename(L, -1));
  if (is_given) ns = ed_check_seconds(L, lua_gettop(L));
  if (n == 0 && !is_given) luaL_argerror(L, 1, "nothing to wait for");
  lua_pop(L, 1);
  return ns;
}

static selecting *new_selecting (lua_State *L, ed_task *task, uint32_t n) {
  selecting *s = ed_mem_new(&task->loop->mem, size_for(n));
  if (s == NULL) luaL_error(L, "not enough memory");
  memset(s, 0, size_for(n));
  s->n = n;
  ed_alarm_init(&s->alarm, ring_select);
  ed_op_adopt(task->loop, task, &select_type, &s->op);
  for (uint32_t i = 0; i < n; i++) {
    ed_choice *row = &s->row[i];
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    row->kind = find_kind(L, task->loop, &row->object);
    row->select = &s->op;
    row->place.op.type = &ed_choice_type;
    row->place.op.task = task;
    ed_list_init(&row->place.link);
    ed_list_init(&row->watch.link);
    lua_pop(L, 1);
  }
  return s;
}

/* Has it something, and can that be taken? */
static bool is_takeable (lua_State *L, uint32_t i, const ed_choice *row) {
  if (!row->kind->is_ready(row->object)) return false;
  if (row->kind->prepare == NULL) return true;
  lua_rawgeti(L, 1, (lua_Integer)i + 1);
  row->kind->prepare(L, lua_gettop(L), row->object);
  lua_pop(L, 1);
  return row->kind->is_ready(row->object);
}

/* Take from the lowest ready one, if any is. */
static bool choose_now (lua_State *L, selecting *s) {
  for (uint32_t i = 0; i < s->n; i++) {
    ed_choice *row = &s->row[i];
    if (!is_takeable(L, i, row)) continue;
    if (row->kind->take != NULL) {
      lua_rawgeti(L, 1, (lua_Integer)i + 1);
      s->has_value = row->kind->take(L, lua_gettop(L), row->object);
    }
    s->winner = i + 1;
    ed_op_done(&s->op, 0);
    return true;
  }
  return false;
}

/*
** eddy.select{object, ..., timeout=} --> index, value | nil
** Awaits the first of queues, events, tasks and futures that has something, and takes it from
** that one only. A queue gives its item (or nil, err once closed and drained), the others true.
** nil when 'timeout' seconds have passed. Cancelled: nothing is taken.
*/
static int l_select (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  uint64_t timeout;
  uint32_t n;
  ed_task *task;
  selecting *s;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  timeout = take_timeout(L, (uint32_t)luaL_len(L, 1));
  n = take_members(L, loop);
  task = ed_checkpoint(L);
  if (!ed_heap_reserve(&loop->timers, &loop->mem))
    return luaL_error(L, "not enough memory");
  s = new_selecting(L, task, n);
  if (!choose_now(L, s)) {
    for (uint32_t i = 0; i < n; i++) s->row[i].kind->join(s->row[i].object, &s->row[i]);
    if (timeout != UINT64_MAX)
      ed_heap_push(&loop->timers, &s->alarm.timer,
        ed_after(ed_loop_now(loop), ed_after(timeout, 1)));
  }
  return ed_await(L, &s->op, 0);
}

static const luaL_Reg functions[] = {
  {"select", l_select},
  {NULL, NULL},
};

void ed_open_select (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
