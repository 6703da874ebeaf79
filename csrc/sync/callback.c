/* SPDX-License-Identifier: MIT */
/*
** eddy.await: a callback becomes a wait.
**
** Three objects. The *callback* lies on the stack of the task that waits; its '__close' runs the
** canceller when the wait is left without an answer: cancelled, killed, or by an error. The
** *sentinel* is known to 'resolve' and 'reject' alone; when the collector finds it, nobody can
** answer any more, and the wait ends with an error of code "abandoned". The operation is there
** while the task is parked.
**
** Who may answer: any task or coroutine of this Lua state, a finalizer, a callback of a library
** that shares the loop. Answering marks and wakes, it runs nothing. These waits are therefore
** neither internal nor external: the loop counts them apart, and they keep a run from being a
** deadlock only while the uv loop holds something that is not ours and could call back.
*/
#include "core/class.h"
#include "core/error.h"
#include "sync/sync.h"
#include "sync/values.h"

typedef enum answer { NO_ANSWER, RESOLVED, REJECTED, ABANDONED } answer;

typedef struct waiting waiting;

/* User values: 1 the answer's values, 2 the canceller. */
typedef struct callback {
  waiting *parked; /* NULL: the task is not parked in it */
  uint8_t answer;
  uint8_t shape;
  bool is_over;     /* the wait was left: nobody takes an answer */
  bool is_reported; /* that there was a second answer */
} callback;

struct waiting {
  ed_op op;
  callback *callback; /* anchored by the waiter's stack */
};

/* User value 1: the callback. */
typedef struct sentinel {
  callback *callback;
} sentinel;

static const char report_key = 0; /* core.report in the registry */

enum { CALLBACK = 2, VALUES = 1, CANCELLER = 2 }; /* stack index; user values */

/* ---- engine half ---- */

static void unpark (callback *c) {
  c->parked->op.loop->ncallbacks--;
  c->parked = NULL;
}

static void answer_with (callback *c, answer how) {
  waiting *parked = c->parked;
  c->answer = (uint8_t)how;
  if (parked == NULL) return;
  unpark(c);
  ed_op_complete(&parked->op, 0);
}

static ed_verdict cancel_callback (ed_op *op) {
  callback *c = ((waiting *)op)->callback;
  c->is_over = true;
  unpark(c);
  ed_op_release(op);
  return ED_STOPPED;
}

/* ---- Lua half: the answer ---- */

/* A finalizer knows the runtime by its class only; a closed one has no tasks left to wake. */
static int l_sentinel_gc (lua_State *L) {
  sentinel *s = lua_touserdata(L, 1);
  if (ed_loop_opt(L) == NULL || s->callback == NULL) return 0;
  if (s->callback->answer == NO_ANSWER && !s->callback->is_over)
    answer_with(s->callback, ABANDONED);
  return 0;
}

/* The value at the top (popped) to config.on_error. */
static void report (lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &report_key);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static void report_second (lua_State *L, callback *c) {
  if (c->is_reported || c->answer == ABANDONED) return;
  c->is_reported = true;
  ed_error_push(L, "protocol", "settled", "await", NULL,
    c->answer == RESOLVED ? "answered again after resolve"
                          : "answered again after reject");
  report(L);
}

static int settle (lua_State *L, answer how) {
  callback *c = ((sentinel *)lua_touserdata(L, lua_upvalueindex(2)))->callback;
  bool is_first = c->answer == NO_ANSWER && !c->is_over && ed_loop_opt(L) != NULL;
  if (is_first) {
    lua_getiuservalue(L, lua_upvalueindex(2), 1);
    lua_insert(L, 1);
    c->shape = (uint8_t)ed_values_keep(L, 1, 2);
    answer_with(c, how);
  } else if (c->answer != NO_ANSWER && ed_loop_opt(L) != NULL) report_second(L, c);
  lua_pushboolean(L, is_first);
  return 1;
}

/*
** resolve(...) --> boolean
** The wait returns these values. False if it was answered before (reported once) or is over.
*/
static int l_resolve (lua_State *L) { return settle(L, RESOLVED); }

/*
** reject(err) --> boolean
** The wait raises this value. False as for resolve.
*/
static int l_reject (lua_State *L) {
  lua_settop(L, 1);
  return settle(L, REJECTED);
}

/* ---- Lua half: the wait ---- */

static int raise_abandoned (lua_State *L) {
  ed_error_push(L, "closed", "abandoned", "await", NULL,
    "nobody can answer: resolve and reject are gone");
  return lua_error(L);
}

static int finish_callback (lua_State *L, ed_op *op) {
  callback *c = ((waiting *)op)->callback;
  int n;
  c->is_over = true;
  if (c->answer != RESOLVED)
    ed_op_abandon(op->task); /* what is raised leaves none behind */
  if (c->answer == ABANDONED) return raise_abandoned(L);
  n = ed_values_push(L, CALLBACK, c->shape);
  return c->answer == REJECTED ? lua_error(L) : n;
}

static const ed_optype callback_type = {
  .name = "await",
  .finish = finish_callback,
  .cancel = cancel_callback,
  .drop = ed_drop_plain,
  .is_internal = true, /* counted in ncallbacks instead */
};

/*
** core.canceller(fn)
** Between a canceller and us, and in a table, so that an attempt to wait there can name it.
*/
static int l_canceller (lua_State *L) {
  lua_call(L, lua_gettop(L) - 1, 0);
  return 0;
}

/*
** callback.__close(callback)
** The wait is left. Without an answer the canceller runs, once; it cannot wait, and its error
** goes to on_error.
*/
static int l_callback_close (lua_State *L) {
  callback *c = lua_touserdata(L, 1);
  c->is_over = true;
  if (c->answer == RESOLVED || c->answer == REJECTED) return 0;
  if (lua_getiuservalue(L, 1, CANCELLER) == LUA_TNIL) return 0;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, CANCELLER);
  lua_pushcfunction(L, l_canceller);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) report(L);
  return 0;
}

/* Push resolve and reject. */
static void push_answers (lua_State *L, ed_loop *loop, callback *c) {
  sentinel *s = ed_class_push(L, loop, ED_CLASS_SENTINEL, sizeof *s, 1);
  int index = lua_gettop(L);
  lua_pushvalue(L, CALLBACK);
  lua_setiuservalue(L, index, 1);
  s->callback = c;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, index);
  lua_pushcclosure(L, l_resolve, 2);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, index);
  lua_pushcclosure(L, l_reject, 2);
  lua_remove(L, index);
}

static void keep_canceller (lua_State *L) {
  if (!lua_isnil(L, -1) && !lua_isfunction(L, -1)) {
    if (luaL_getmetafield(L, -1, "__call") == LUA_TNIL)
      luaL_error(L,
        "the function must return a canceller (a function) or nothing, not a %s",
        luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  lua_setiuservalue(L, CALLBACK, CANCELLER);
}

/* 'fn' has run. It may have answered already, or have cancelled its own task. */
static int await_answer (lua_State *L, ed_loop *loop, callback *c) {
  ed_task *task = loop->current;
  waiting *w;
  if (c->answer == NO_ANSWER && task->scope->cause != NULL) {
    c->is_over = true;
    ed_checkpoint(L); /* does not return */
  }
  w = ed_op_new_for(L, task, &callback_type, sizeof *w);
  w->callback = c;
  if (c->answer != NO_ANSWER) ed_op_done(&w->op, 0);
  else {
    c->parked = w;
    loop->ncallbacks++;
  }
  return ed_await(L, &w->op, 0);
}

/*
** eddy.await(fn) --> what resolve got
** Awaits. fn(resolve, reject) runs at once and cannot wait; it may return a canceller. Raises
** what reject got, or what 'fn' raised. Cancelling runs the canceller, then raises.
*/
static int l_await (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  callback *c;
  ed_check_callable(L, 1);
  lua_settop(L, 1);
  ed_checkpoint(L);
  c = ed_class_push(L, loop, ED_CLASS_CALLBACK, sizeof *c, 2);
  lua_toclose(L, CALLBACK);
  lua_pushvalue(L, 1);
  push_answers(L, loop, c);
  lua_call(L, 2, 1);
  keep_canceller(L);
  lua_pushnil(L); /* 'fn' may know resolve: it must not outlive its call here */
  lua_replace(L, 1);
  return await_answer(L, loop, c);
}

static const luaL_Reg functions[] = {
  {"await", l_await},
  {NULL, NULL},
};

static const luaL_Reg callback_meta[] = {
  {"__close", l_callback_close},
  {NULL, NULL},
};

static const luaL_Reg sentinel_meta[] = {
  {"__gc", l_sentinel_gc},
  {NULL, NULL},
};

/* The table at the top has 'report' already. */
void ed_open_callback (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_CALLBACK, "eddy.Callback", NULL, callback_meta, box);
  ed_class_new(L, loop, ED_CLASS_SENTINEL, "eddy.Answer", NULL, sentinel_meta, box);
  lua_getfield(L, -1, "report");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &report_key);
  ed_setfuncs(L, functions, box);
  lua_pushcfunction(L, l_canceller);
  lua_setfield(L, -2, "canceller");
}
