/* SPDX-License-Identifier: MIT */
/*
** C functions that wait: answered before, while and after the wait, given up, killed, closed
** under; the pool; posts, events and frames. And eight threads that answer while the loop's
** thread cancels and closes.
*/
#include <sched.h>

#include "host.h"

/* ---- an operation that the test answers ---- */

typedef struct ticket {
  int serial;
} ticket;

enum { TICKETS = 64 };

static eddy_op *held[TICKETS]; /* what the "system" holds */
static int serials, pushed, cancelled, destroyed;

static int push_ticket (lua_State *L, void *data, int status) {
  pushed++;
  if (status == 13) return luaL_error(L, "unlucky");
  lua_pushinteger(L, ((ticket *)data)->serial);
  lua_pushinteger(L, status);
  return 2;
}

static void cancel_ticket (void *data) {
  (void)data;
  cancelled++;
}

static void destroy_ticket (void *data) {
  ((ticket *)data)->serial = -1;
  destroyed++;
}

static const eddy_op_class ticket_class = {
  "ticket", push_ticket, cancel_ticket, destroy_ticket};

static int l_ticket (lua_State *L) {
  eddy_op *op;
  eddy_op_new(L, &ticket_class, sizeof(ticket), &op);
  ((ticket *)eddy_op_data(op))->serial = serials;
  held[serials++] = op;
  return eddy_op_wait(L, op);
}

/* Answered before it waits. */
static int l_instant (lua_State *L) {
  eddy_op *op;
  eddy_op_new(L, &ticket_class, sizeof(ticket), &op);
  ((ticket *)eddy_op_data(op))->serial = 77;
  CHECK_EQ(eddy_op_complete(op, 5), EDDY_OK);
  return eddy_op_wait(L, op);
}

/* Raises behind eddy_op_new, against the rules: nothing may be lost. */
static int l_careless (lua_State *L) {
  eddy_op *op;
  eddy_op_new(L, &ticket_class, sizeof(ticket), &op);
  held[serials++] = op;
  return luaL_error(L, "careless");
}

static int l_plain (lua_State *L) {
  eddy_op *op;
  eddy_op_new(L, NULL, 0, &op);
  eddy_op_complete(op, (int)luaL_checkinteger(L, 1));
  return eddy_op_wait(L, op);
}

static eddy *open_tickets (witness *w) {
  eddy *e = open_runtime(w);
  lua_State *L = eddy_lua(e);
  lua_register(L, "ticket", l_ticket);
  lua_register(L, "instant", l_instant);
  lua_register(L, "careless", l_careless);
  lua_register(L, "plain", l_plain);
  serials = pushed = cancelled = destroyed = 0;
  return e;
}

static uint64_t count_ops (eddy *e) {
  eddy_stats_t stats;
  CHECK_EQ(eddy_stats(e, &stats, sizeof stats), EDDY_OK);
  return stats.operations;
}

static void test_answer (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  memset(&done, 0, sizeof done);
  spawn_watched(
    e, "local a, b = ticket() local c, d = instant() return a * 1000 + b + c + d", &done);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_WAITING);
  CHECK_EQ(eddy_next_timeout_ns(e), -1);
  CHECK_EQ(count_ops(e), 1);
  CHECK(!eddy_op_cancelled(held[0]));
  CHECK_EQ(eddy_op_complete(held[0], 3), EDDY_OK);
  CHECK_EQ(eddy_next_timeout_ns(e), 0);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(done.value, 3 + 77 + 5);
  CHECK_EQ(destroyed, 2);
  CHECK_EQ(cancelled, 0);
  CHECK_EQ(count_ops(e), 0);
  close_runtime(e);
}

static void test_first_answer_counts (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  memset(&done, 0, sizeof done);
  spawn_watched(e, "local _, status = ticket() return status", &done);
  eddy_step(e, UINT64_MAX);
  eddy_op_retain(held[0]);
  CHECK_EQ(eddy_op_complete(held[0], 1), EDDY_OK);
  CHECK_EQ(eddy_op_complete(held[0], 2), EDDY_ESTALE);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(done.value, 1);
  close_runtime(e);
}

static void test_push_raises (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  memset(&done, 0, sizeof done);
  spawn_watched(e,
    "local ok, err = pcall(ticket) local ok2, err2 = pcall(careless) return err .. err2",
    &done);
  eddy_step(e, UINT64_MAX);
  eddy_op_complete(held[0], 13);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(done.done, 1);
  CHECK(strstr(done.text, "unlucky") != NULL && strstr(done.text, "careless") != NULL);
  CHECK_EQ(cancelled, 1); /* the careless one: its starter is asked to answer */
  CHECK_EQ(destroyed, 1);
  CHECK_EQ(eddy_op_complete(held[1], 0), EDDY_ECANCELED);
  eddy_step(e, 0);
  CHECK_EQ(destroyed, 2);
  close_runtime(e);
}

static void test_plain_class (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  memset(&done, 0, sizeof done);
  spawn_watched(e,
    "local a = plain(9) local b, err = plain(-2) assert(b == nil and err.code == "
    "'ENOENT', err) return a",
    &done);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(done.value, 9);
  close_runtime(e);
}

static void test_given_up (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  eddy_id id;
  memset(&done, 0, sizeof done);
  id = spawn_watched(e, "ticket()", &done);
  eddy_step(e, UINT64_MAX);
  eddy_task_cancel(e, id, NULL);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE); /* does not wait for the answer */
  CHECK_EQ(done.status, EDDY_ECANCELED);
  CHECK_EQ(cancelled, 1);
  CHECK_EQ(destroyed, 0);
  CHECK(eddy_op_cancelled(held[0]));
  CHECK_EQ(eddy_op_complete(held[0], 0), EDDY_ECANCELED);
  eddy_step(e, 0);
  CHECK_EQ(destroyed, 1);
  CHECK_EQ(pushed, 0);
  close_runtime(e);
}

/* In the turn in which the answer comes: the answer is delivered, the next wait raises. */
static void test_answered_then_cancelled (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  eddy_id id;
  memset(&done, 0, sizeof done);
  id = spawn_watched(e, "GOT = ticket() ticket()", &done);
  eddy_step(e, UINT64_MAX);
  eddy_op_complete(held[0], 0);
  eddy_task_cancel(e, id, NULL);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(done.status, EDDY_ECANCELED);
  lua_getglobal(eddy_lua(e), "GOT");
  CHECK(lua_isinteger(eddy_lua(e), -1));
  CHECK_EQ(serials, 1);
  CHECK_EQ(destroyed, 1);
  close_runtime(e);
}

static void test_killed_and_closed (void) {
  witness w;
  eddy *e = open_tickets(&w);
  eddy_id id = spawn_text(e, "ticket()");
  spawn_text(e, "ticket()");
  eddy_step(e, UINT64_MAX);
  eddy_op_complete(held[0], 0); /* in the queue when its task is killed */
  CHECK_EQ(eddy_task_kill(e, id), EDDY_OK);
  CHECK_EQ(eddy_close(e, 0), 1);
  CHECK_EQ(destroyed, 2);
  CHECK_EQ(pushed, 0);
  CHECK(eddy_op_cancelled(held[1]));
  CHECK_EQ(((ticket *)eddy_op_data(held[1]))->serial, -1);
  CHECK_EQ(
    eddy_op_complete(held[1], 0), EDDY_ECLOSED); /* its memory was there until now */
  eddy_release(e);
}

static void test_refusals (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  lua_State *L = eddy_lua(e), *bare = luaL_newstate();
  memset(&done, 0, sizeof done);
  CHECK_EQ(luaL_dostring(L, "ticket()"), 1);
  CHECK(strstr(lua_tostring(L, -1), "outside a task") != NULL);
  lua_settop(L, 0);
  lua_register(bare, "ticket", l_ticket);
  CHECK_EQ(luaL_dostring(bare, "ticket()"), 1);
  lua_close(bare);
  spawn_watched(e,
    "local ok, err = pcall(table.sort, {1, 2}, ticket) assert(not ok) return err", &done);
  eddy_step(e, UINT64_MAX);
  CHECK(strstr(done.text, "cannot await inside") != NULL);
  spawn_watched(e, "eddy.current():cancel() ticket()", &done);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(done.status, EDDY_ECANCELED);
  CHECK_EQ(serials, 0);
  spawn_watched(e, "return coroutine.wrap(function() return (ticket()) end)()", &done);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(serials, 1);
  eddy_op_complete(held[0], 0);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(done.status, EDDY_OK);
  close_runtime(e);
}

/* ---- in a script's own run ---- */

static void complete_later (void *op) {
  uv_sleep(2);
  eddy_op_complete(op, 4);
}

static int l_threaded (lua_State *L) {
  static uv_thread_t thread; /* joined by the test */
  eddy_op *op;
  eddy_op_new(L, &ticket_class, sizeof(ticket), &op);
  lua_pushlightuserdata(L, &thread);
  lua_setfield(L, LUA_REGISTRYINDEX, "thread");
  if (uv_thread_create(&thread, complete_later, op) != 0) abort();
  return eddy_op_wait(L, op);
}

static void test_without_a_host (void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  eddy_preload(L);
  lua_register(L, "threaded", l_threaded);
  CHECK_EQ(luaL_dostring(L, "local _, s = require'eddy'.run(threaded) return s"), 0);
  CHECK_EQ(lua_tointeger(L, -1), 4);
  lua_getfield(L, LUA_REGISTRYINDEX, "thread");
  uv_thread_join(lua_touserdata(L, -1));
  CHECK(eddy_of(L) != NULL);
  CHECK_EQ(eddy_step(eddy_of(L), 0), EDDY_EINVAL); /* no host drives it */
  lua_close(L);
}

/* ---- the pool ---- */

static int square (void *data) {
  ((ticket *)data)->serial *= ((ticket *)data)->serial;
  return 6;
}

static int doze (void *data) {
  (void)data;
  uv_sleep(20);
  return 0;
}

static int l_square (lua_State *L) {
  int n = (int)luaL_checkinteger(L, 1);
  eddy_op *op;
  eddy_op_new(L, &ticket_class, sizeof(ticket), &op);
  ((ticket *)eddy_op_data(op))->serial = n;
  return eddy_offload(L, op, n < 0 ? doze : square);
}

static void test_pool (void) {
  witness w, done, lost[8];
  eddy *e = open_tickets(&w);
  eddy_id id[8];
  memset(&done, 0, sizeof done), memset(lost, 0, sizeof lost);
  lua_register(eddy_lua(e), "square", l_square);
  spawn_watched(e, "local a, b = square(9) return a + b", &done);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(done.value, 87);
  for (int i = 0; i < 8; i++) id[i] = spawn_watched(e, "square(-1)", &lost[i]);
  eddy_step(e, UINT64_MAX);
  for (int i = 0; i < 6; i++)
    eddy_task_cancel(e, id[i], NULL); /* running ones and queued ones */
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  for (int i = 0; i < 8; i++) CHECK_EQ(lost[i].status, i < 6 ? EDDY_ECANCELED : EDDY_OK);
  for (int i = 0; i < 3; i++) spawn_text(e, "square(-1)");
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(eddy_close(e, 0), 3); /* waits for the threads */
  CHECK_EQ(destroyed, 12);
  eddy_release(e);
}

/* ---- eight threads against cancel and close ---- */

enum { THREADS = 8, EACH = 60, SENT = 500 };

typedef struct race {
  uv_mutex_t lock;
  eddy_op *op[THREADS * EACH];
  int n, taken;
  bool is_over;
  int answers[4]; /* OK, ECANCELED, ECLOSED, others */
} race;

static race arena;

static int l_race (lua_State *L) {
  eddy_op *op;
  eddy_op_new(L, &ticket_class, sizeof(ticket), &op);
  uv_mutex_lock(&arena.lock);
  arena.op[arena.n++] = op;
  uv_mutex_unlock(&arena.lock);
  return eddy_op_wait(L, op);
}

static eddy_op *take_op (void) {
  eddy_op *op = NULL;
  uv_mutex_lock(&arena.lock);
  if (arena.taken < arena.n) op = arena.op[arena.taken++];
  uv_mutex_unlock(&arena.lock);
  return op;
}

static void note_answer (int status) {
  int at = status == EDDY_OK   ? 0
    : status == EDDY_ECANCELED ? 1
    : status == EDDY_ECLOSED   ? 2
                               : 3;
  uv_mutex_lock(&arena.lock);
  arena.answers[at]++;
  uv_mutex_unlock(&arena.lock);
}

static void count_call (eddy *e, void *ud) {
  (void)e;
  ++*(int *)ud;
}

static int accepted, calls;

static void race_on (void *ud) {
  eddy *e = ud;
  int sent = 0;
  for (bool is_over = false; !is_over;) {
    eddy_op *op = take_op();
    int status;
    uv_mutex_lock(&arena.lock);
    is_over = arena.is_over && op == NULL;
    uv_mutex_unlock(&arena.lock);
    if (op != NULL) {
      (void)eddy_op_cancelled(op);
      note_answer(eddy_op_complete(op, 1));
    }
    if (++sent > SENT) {
      sched_yield();
      continue;
    }
    status = eddy_call_soon(e, count_call, &calls);
    uv_mutex_lock(&arena.lock);
    accepted += status == EDDY_OK;
    uv_mutex_unlock(&arena.lock);
  }
  eddy_release(e);
}

static void test_race (int turns) {
  witness w;
  eddy *e = open_tickets(&w);
  uv_thread_t thread[THREADS];
  eddy_id id[THREADS * EACH];
  lua_register(eddy_lua(e), "race", l_race);
  memset(&arena, 0, sizeof arena);
  accepted = calls = 0;
  uv_mutex_init(&arena.lock);
  for (int i = 0; i < THREADS; i++) {
    eddy_retain(e);
    if (uv_thread_create(&thread[i], race_on, e) != 0) abort();
  }
  for (int i = 0; i < THREADS * EACH; i++) id[i] = spawn_text(e, "race()");
  for (int i = 0; i < turns; i++) {
    eddy_step(e, 20000);
    eddy_task_cancel(e, id[(i * 7) % (THREADS * EACH)], "raced");
  }
  CHECK(eddy_close(e, 0) >= 0);
  eddy_release(e);
  uv_mutex_lock(&arena.lock);
  arena.is_over = true;
  uv_mutex_unlock(&arena.lock);
  for (int i = 0; i < THREADS; i++) uv_thread_join(&thread[i]);
  CHECK_EQ(arena.answers[0] + arena.answers[1] + arena.answers[2], arena.n);
  CHECK_EQ(arena.answers[3], 0);
  CHECK_EQ(destroyed, arena.n);
  CHECK(pushed <= arena.n);
  CHECK_EQ(calls, accepted); /* each that was taken has run */
  CHECK_EQ(w.errors, 0);
  uv_mutex_destroy(&arena.lock);
}

int main (void) {
  test_answer();
  test_first_answer_counts();
  test_push_raises();
  test_plain_class();
  test_given_up();
  test_answered_then_cancelled();
  test_killed_and_closed();
  test_refusals();
  test_without_a_host();
  test_pool();
  for (int turns = 0; turns < 200; turns += 23) test_race(turns);
  return test_report();
}
