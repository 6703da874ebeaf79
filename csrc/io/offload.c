/* SPDX-License-Identifier: MIT */
/*
** The wait for a job of the workers, and the workers of a run: made when the first job comes,
** ended with the run, so that a run which offloads nothing starts no thread and none outlives it.
**
** Beside the pool there are two handles of libuv: the bell, open while there are jobs, and the
** ticker, open while workers are being stopped. A worker that has not stopped within the patience
** is left behind and its waiter goes on.
*/
#include "io/offload.h"

#include <stdio.h>
#include <string.h>

#include "core/class.h"
#include "core/error.h"
#include "core/handle.h"
#include "core/permit.h"
#include "core/trace.h"
#include "eddy.h"
#include "io/pool.h"

enum {
  IN_C = -1,
  NO_FUNCTION = -2, /* a table that can be called, say */
  TICK_MS = 5,      /* between two interrupts of a worker that is to stop */
  MAX_WORKERS = 1024
};

static const uint64_t patience_ns = 200000000; /* with a worker that does not stop */
static const uint64_t end_ns = 1000000000;     /* at the end of a run, with all of them */

/* The workers of a run. */
typedef struct workers {
  ed_loop *loop;
  ed_pool *pool;
  ed_handle *bell;   /* or NULL */
  ed_handle *ticker; /* or NULL */
  ed_link jobs;      /* offloading, that have not been answered */
  ed_link
    stopping; /* those of them whose workers are to stop, in the order of being asked */
} workers;

typedef struct offloading {
  ed_op op; /* first */
  ed_link link;
  ed_link stopping;
  ed_job *job; /* NULL: it belongs to the thread that was left with it */
  workers *all;
  uint64_t give_up;
  int problem; /* a UV_E code: it could not be sent */
  int line;    /* where the function begins that runs there, or one of these */
  char source[LUA_IDSIZE];
} offloading;

/* ---- engine half: handles ---- */

static void drop_handle (ed_handle *handle) {
  ed_mem_free(&handle->loop->mem, handle, sizeof *handle);
}

static ed_handle *new_handle (ed_loop *loop) {
  ed_handle *handle = ed_loop_calloc(loop, sizeof *handle);
  if (handle == NULL) return NULL;
  ed_handle_init(handle, loop, NULL, drop_handle);
  handle->has_box = false;
  handle->is_spare = true; /* it closes with the last job, or with the run */
  return handle;
}

static void close_handle (ed_handle **handle) {
  if (*handle != NULL) ed_handle_close(*handle);
  *handle = NULL;
}

/* ---- engine half: answers ---- */

static void leave_stopping (offloading *o) {
  workers *all = o->all;
  if (ed_list_is_empty(&o->stopping)) return;
  ed_list_remove(&o->stopping);
  if (!ed_list_is_empty(&all->stopping)) return;
  ed_interrupt_end();
  close_handle(&all->ticker);
}

/* The job is off our hands. */
static void check_off (offloading *o) {
  workers *all = o->all;
  leave_stopping(o);
  ed_list_remove(&o->link);
  all->loop->njobs--;
  if (!ed_list_is_empty(&all->jobs) || all->pool == NULL) return;
  ed_pool_silence(all->pool);
  close_handle(&all->bell);
}

/* The job has ended or was given up. */
static void answer (offloading *o) {
  check_off(o);
  ed_op_complete(&o->op, 0);
}

static void answer_all (ed_link *list) {
  ed_link *at;
  while ((at = ed_list_shift(list)) != NULL) answer(ED_OF(at, ed_job, link)->owner);
}

static void on_bell (uv_async_t *bell) {
  workers *all = ((ed_handle *)bell->data)->loop->pool;
  ed_link list;
  ed_list_init(&list);
  ed_pool_collect(all->pool, &list);
  answer_all(&list);
}

static int open_bell (workers *all) {
  ed_handle *bell;
  int status;
  if (all->bell != NULL) return 0;
  if ((bell = new_handle(all->loop)) == NULL) return UV_ENOMEM;
  if ((status = uv_async_init(all->loop->uv, &bell->uv.async, on_bell)) < 0) {
    drop_handle(bell);
    return status;
  }
  ed_handle_opened(bell);
  all->bell = bell;
  return 0;
}

/* ---- engine half: stopping ---- */

static void give_up (offloading *o) {
  if (!ed_pool_leave(o->all->pool, o->job)) return; /* it has ended: the bell will tell */
  o->job = NULL;
  answer(o);
}

static void on_tick (uv_timer_t *timer) {
  workers *all = ((ed_handle *)timer->data)->loop->pool;
  uint64_t now = uv_hrtime();
  ed_link *at = all->stopping.next;
  while (all->ticker != NULL && at != &all->stopping) {
    offloading *o = ED_OF(at, offloading, stopping);
    at = at->next;
    if (now >= o->give_up) give_up(o);
    else ed_pool_stop(all->pool, o->job);
  }
}

static bool open_ticker (workers *all) {
  ed_handle *ticker;
  if (all->ticker != NULL) return true;
  if ((ticker = new_handle(all->loop)) == NULL) return false;
  uv_timer_init(all->loop->uv, &ticker->uv.timer);
  ed_handle_opened(ticker);
  uv_update_time(all->loop->uv);
  uv_timer_start(&ticker->uv.timer, on_tick, TICK_MS, TICK_MS);
  all->ticker = ticker;
  return true;
}

static ed_verdict begin_stop (offloading *o) {
  workers *all = o->all;
  if (!open_ticker(all)) return ED_DETACHED; /* no memory to look after it */
  if (ed_list_is_empty(&all->stopping)) ed_interrupt_begin();
  ed_list_append(&all->stopping, &o->stopping);
  o->give_up = uv_hrtime() + patience_ns;
  ed_pool_stop(all->pool, o->job); /* again: now the signal arrives */
  return ED_FINISHING;
}

static ed_verdict cancel_offload (ed_op *op) {
  offloading *o = (offloading *)op;
  switch (ed_pool_stop(o->all->pool, o->job)) {
    case ED_JOB_QUEUED:
      check_off(o);
      ed_op_release(op);
      return ED_STOPPED;
    case ED_JOB_RUNNING: return begin_stop(o);
    default: return ED_DETACHED; /* it has ended, too late */
  }
}

static void drop_offload (ed_op *op) {
  ed_job_free(((offloading *)op)->job);
  ed_op_free(op);
}

/* Text is made only when somebody wants to read it. */
static void describe (const offloading *o, char *text, size_t room) {
  if (o->line >= 0) snprintf(text, room, "%.50s:%d", o->source, o->line);
  else snprintf(text, room, "%s", o->line == IN_C ? "a C function" : "");
}

static void describe_offload (const ed_op *op, char *text, size_t room) {
  describe((const offloading *)op, text, room);
}

/* ---- the workers of a run ---- */

static void end_workers (ed_loop *loop) {
  workers *all = loop->pool;
  ed_link list;
  unsigned left;
  ed_list_init(&list);
  ed_interrupt_begin();
  left = ed_pool_end(all->pool, end_ns, &list);
  ed_interrupt_end();
  all->pool = NULL;
  answer_all(&list);
  while (!ed_list_is_empty(&all->jobs)) { /* threads have them that were left */
    offloading *o = ED_OF(all->jobs.next, offloading, link);
    o->job = NULL;
    answer(o);
  }
  close_handle(&all->bell);
  ed_mem_free(&loop->mem, all, sizeof *all);
  loop->pool = NULL;
  if (left > 0)
    lua_warning(loop->L, "eddy: a worker is stuck in a C function; it is left behind", 0);
}

/* Push a value of eddy.config. */
static int push_config (lua_State *L, ed_loop *loop, const char *name) {
  int type;
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->config);
  type = lua_getfield(L, -1, name);
  lua_remove(L, -2);
  return type;
}

static unsigned count_workers (lua_State *L, ed_loop *loop) {
  lua_Integer n = push_config(L, loop, "workers") == LUA_TNUMBER ? lua_tointeger(L, -1)
                                                                 : 0;
  lua_pop(L, 1);
  if (n <= 0) n = uv_available_parallelism();
  return n < MAX_WORKERS ? (unsigned)n : MAX_WORKERS;
}

static ed_worker_setup *new_setup (lua_State *L, ed_loop *loop) {
  ed_worker_setup *setup;
  lua_Number memory = 0;
  if (push_config(L, loop, "worker_memory") == LUA_TNUMBER) memory = lua_tonumber(L, -1);
  if (push_config(L, loop, "worker_init") != LUA_TFUNCTION) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  setup = ed_worker_setup_new(
    L, lua_gettop(L), memory < (lua_Number)SIZE_MAX ? (size_t)memory : SIZE_MAX);
  if (loop->permits != NULL) ed_worker_setup_confine(setup, loop->permits);
  lua_pop(L, 2);
  return setup;
}

/* The workers, made if there are none; raises. */
static workers *workers_of (lua_State *L, ed_loop *loop) {
  workers *all = loop->pool;
  unsigned limit;
  ed_worker_setup *setup;
  if (all != NULL) return all;
  limit = count_workers(L, loop);
  setup = new_setup(L, loop); /* from here on nothing may raise */
  all = ed_loop_calloc(loop, sizeof *all);
  if (all == NULL) ed_worker_setup_free(setup);
  else if ((all->pool = ed_pool_new(setup, limit)) == NULL) {
    ed_mem_free(&loop->mem, all, sizeof *all);
    all = NULL;
  }
  if (all == NULL) luaL_error(L, "not enough memory");
  all->loop = loop;
  ed_list_init(&all->jobs);
  ed_list_init(&all->stopping);
  loop->end_pool = end_workers;
  loop->pool = all;
  return all;
}

/* ---- Lua half ---- */

/* Raise the error at the top - 1, which came with the traceback at the top. */
static int raise_remote (lua_State *L, offloading *o) {
  ed_loop *loop = o->op.loop;
  if (lua_type(L, -1) == LUA_TSTRING) {
    lua_pushliteral(L, "\noffloaded from");
    lua_concat(L, 2);
  }
  lua_insert(L, -2);
  if (lua_type(L, -2) == LUA_TSTRING) ed_trace_belongs(L, loop, -2);
  ed_op_abandon(o->op.task); /* not at its next wait: it may hold much memory */
  return lua_error(L);
}

static int raise_failure (
  lua_State *L, offloading *o, const char *kind, const char *code, const char *text) {
  char name[LUA_IDSIZE + 16];
  describe(o, name, sizeof name);
  ed_error_push(L, kind, code, "offload", name, text);
  ed_op_abandon(o->op.task);
  return lua_error(L);
}

static int raise_cancellation (lua_State *L, ed_task *task) {
  ed_op_abandon(task);
  return ed_cancel_raise(L, task);
}

static int raise_unsent (lua_State *L, offloading *o) {
  char code[32], text[128];
  uv_err_name_r(o->problem, code, sizeof code);
  uv_strerror_r(o->problem, text, sizeof text);
  return raise_failure(L, o, "worker", code, text);
}

static int finish_offload (lua_State *L, ed_op *op) {
  offloading *o = (offloading *)op;
  ed_bytes *values;
  if (op->asked) return raise_cancellation(L, op->task);
  if (o->problem < 0) return raise_unsent(L, o);
  values = &o->job->answer.values;
  switch (o->job->answer.outcome) {
    case ED_JOB_DONE: return ed_transfer_unpack(L, values->at, values->size);
    case ED_JOB_FAILED:
      ed_transfer_unpack(L, values->at, values->size);
      return raise_remote(L, o);
    case ED_JOB_MEMORY:
      return raise_failure(L, o, "limit", "memory", "the worker ran out of memory");
    default: return raise_failure(L, o, "worker", NULL, "the worker was stopped");
  }
}

static const ed_optype offload_type = {
  .name = "offload",
  .finish = finish_offload,
  .cancel = cancel_offload,
  .drop = drop_offload,
  .describe = describe_offload,
};

static void set_place (lua_State *L, offloading *o) {
  lua_Debug info;
  o->line = NO_FUNCTION;
  if (!lua_isfunction(L, 1)) return;
  lua_pushvalue(L, 1);
  lua_getinfo(L, ">S", &info);
  o->line = *info.what == 'C' ? IN_C : info.linedefined;
  memcpy(o->source, info.short_src, sizeof o->source);
}

/* The packed job is at the top. Whatever goes wrong is raised later. */
static int submit (lua_State *L, workers *all, offloading *o) {
  int status;
  o->job = ed_job_new(ed_transfer_take(L, -1), o);
  if (o->job == NULL) return UV_ENOMEM;
  if ((status = open_bell(all)) < 0) return status;
  status = ed_pool_submit(all->pool, o->job, &all->bell->uv.async);
  if (status < 0) {
    if (ed_list_is_empty(&all->jobs)) close_handle(&all->bell);
    return status;
  }
  ed_list_append(&all->jobs, &o->link);
  all->loop->njobs++;
  return 0;
}

/*
** offload.offload(fn, ...) --> results of fn
** Awaits. Runs 'fn', copied with its upvalues, in the state of a worker; raises its error.
** Cancelling takes a job that has not begun out of the queue; a running one is stopped, and the
** wait goes on until that is done, or until patience is over.
*/
static int l_offload (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_task *task;
  workers *all;
  offloading *o;
  ed_check_callable(L, 1);
  ed_permit_check(L, loop, EDDY_CAP_OFFLOAD);
  ed_transfer_pack(L, 1, lua_gettop(L), "argument");
  task = ed_checkpoint(L);
  all = workers_of(L, loop);
  o = ed_op_new_for(L, task, &offload_type, sizeof *o);
  o->all = all;
  ed_list_init(&o->link), ed_list_init(&o->stopping);
  set_place(L, o);
  if ((o->problem = submit(L, all, o)) < 0)
    ed_op_complete(&o->op, 0); /* and 'finish' raises */
  return ed_await(L, &o->op, 0);
}

/*
** offload.workers() --> integer
** How many workers there may be at a time.
*/
static int l_workers (lua_State *L) {
  lua_pushinteger(L, count_workers(L, ed_loop_of(L)));
  return 1;
}

static const luaL_Reg functions[] = {
  {"offload", l_offload},
  {"workers", l_workers},
  {NULL, NULL},
};

void ed_open_offload (lua_State *L, int box) {
  box = lua_absindex(L, box);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
}
