/* SPDX-License-Identifier: MIT */
/*
** Numbered statements of the semantics that need C: operations that cannot be given up (39, 40), and
** operations and messages of a host's threads (164 to 168). One test each, named by its number; see
** tools/conformance.lua. EDDY_ROUNDS makes more of what threads do: 100000 is what the statement says.
*/
#include <sched.h>

#include "core/class.h"
#include "host.h"

static long rounds (long usual) {
  const char *text = getenv("EDDY_ROUNDS");
  long n = text != NULL ? atol(text) : 0;
  return n > 0 ? n : usual;
}

static void expect_global (eddy *e, const char *name, long long value) {
  lua_State *L = eddy_lua(e);
  lua_getglobal(L, name);
  CHECK_EQ_FOR(name, (long long)lua_tointeger(L, -1), value);
  lua_pop(L, 1);
}

/* ---- 39, 40: an operation of the core that must be seen through ---- */

static ed_op *stubborn_op;
static int asked;

static ed_verdict cancel_stubborn (ed_op *op) {
  (void)op;
  asked++;
  return ED_FINISHING;
}

static int finish_stubborn (lua_State *L, ed_op *op) {
  (void)op;
  lua_pushliteral(L, "the result");
  return 1;
}

static const ed_optype stubborn_type = {.name = "stubborn",
  .finish = finish_stubborn,
  .cancel = cancel_stubborn,
  .drop = ed_drop_plain};

static int l_stubborn (lua_State *L) {
  stubborn_op = ed_op_new(L, &stubborn_type, sizeof *stubborn_op);
  return ed_await(L, stubborn_op, 0);
}

static eddy *open_stubborn (witness *w) {
  eddy *e = open_runtime(w);
  lua_State *L = eddy_lua(e);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key);
  lua_pushcclosure(L, l_stubborn, 1);
  lua_setglobal(L, "stubborn");
  stubborn_op = NULL;
  asked = 0;
  return e;
}

static void test_s039_what_cannot_be_given_up (void) {
  witness w, done;
  eddy *e = open_stubborn(&w);
  eddy_id id;
  memset(&done, 0, sizeof done);
  id = spawn_watched(
    e, "RESULT = stubborn() == 'the result' and 1 eddy.sleep(0) RESULT = 2", &done);
  eddy_step(e, UINT64_MAX);
  eddy_task_cancel(e, id, NULL);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_WAITING); /* it sleeps on */
  CHECK_EQ(asked, 1);
  CHECK_EQ(eddy_task_status(e, id), EDDY_TASK_WAITING);
  CHECK_EQ(done.done, 0);
  ed_op_complete(stubborn_op, 0);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  expect_global(e, "RESULT", 1);
  CHECK_EQ(done.status, EDDY_ECANCELED);
  close_runtime(e);
}

static void test_s040_a_shield_does_not_lose_the_cancel (void) {
  witness w, done;
  eddy *e = open_stubborn(&w);
  eddy_id id;
  memset(&done, 0, sizeof done);
  id = spawn_watched(e,
    "stubborn() eddy.shield(1e9, function() eddy.sleep(0) IN = 1 stubborn() IN = 2 end) "
    "OUT = 1 eddy.sleep(0) OUT = 2",
    &done);
  eddy_step(e, UINT64_MAX);
  eddy_task_cancel(e, id, NULL);
  eddy_step(e, UINT64_MAX);
  ed_op_complete(stubborn_op, 0);
  CHECK_EQ(
    eddy_step(e, UINT64_MAX), EDDY_WAITING); /* behind the shield, in its own wait */
  CHECK_EQ(asked, 1);
  expect_global(e, "IN", 1);
  ed_op_complete(stubborn_op, 0);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  expect_global(e, "IN", 2);
  expect_global(e, "OUT", 1);
  CHECK_EQ(done.status, EDDY_ECANCELED);
  close_runtime(e);
}

/* ---- an operation that the test answers ---- */

typedef struct ticket {
  int sender;  /* number of the thread that answers */
  long serial; /* its count of answers */
} ticket;

enum { THREADS = 8, WINDOW = 32 };

static struct {
  uv_mutex_t lock;
  eddy_op *op[THREADS * WINDOW];
  int n;
  bool is_over;
  long answered, given_up, closed, others;
} arena;

static int pushed, destroyed, begun;
static long last[THREADS]; /* serial that was delivered last */

static int push_ticket (lua_State *L, void *data, int status) {
  const ticket *t = data;
  pushed++;
  if (t->serial > 0) CHECK_EQ(t->serial, ++last[t->sender]);
  lua_pushinteger(L, status);
  return 1;
}

static void destroy_ticket (void *data) {
  CHECK(((ticket *)data)->sender >= 0);
  ((ticket *)data)->sender = -1;
  destroyed++;
}

static const eddy_op_class ticket_class = {"ticket", push_ticket, NULL, destroy_ticket};

static eddy_op *new_ticket (lua_State *L) {
  eddy_op *op;
  eddy_op_new(L, &ticket_class, sizeof(ticket), &op);
  begun++;
  return op;
}

static bool put_op (eddy_op *op) {
  bool has_room;
  uv_mutex_lock(&arena.lock);
  has_room = arena.n < THREADS * WINDOW;
  if (has_room) arena.op[arena.n++] = op;
  uv_mutex_unlock(&arena.lock);
  return has_room;
}

/* Those who answer may be slow: there are also ops whose wait was given up long ago. */
static int l_ticket (lua_State *L) {
  eddy_op *op = new_ticket(L);
  while (!put_op(op)) sched_yield();
  return eddy_op_wait(L, op);
}

/* Answered, twice, before it waits. */
static int l_early (lua_State *L) {
  eddy_op *op = new_ticket(L);
  eddy_op_retain(op);
  CHECK_EQ(eddy_op_complete(op, 7), EDDY_OK);
  CHECK_EQ(eddy_op_complete(op, 8), EDDY_ESTALE);
  return eddy_op_wait(L, op);
}

static eddy *open_tickets (witness *w) {
  eddy *e = open_runtime(w);
  lua_register(eddy_lua(e), "ticket", l_ticket);
  lua_register(eddy_lua(e), "early", l_early);
  memset(&arena, 0, sizeof arena);
  memset(last, 0, sizeof last);
  uv_mutex_init(&arena.lock);
  pushed = destroyed = begun = 0;
  return e;
}

static eddy_op *take_op (void) {
  eddy_op *op = NULL;
  uv_mutex_lock(&arena.lock);
  if (arena.n > 0) op = arena.op[--arena.n];
  uv_mutex_unlock(&arena.lock);
  return op;
}

static bool is_over (void) {
  bool over;
  uv_mutex_lock(&arena.lock);
  over = arena.is_over;
  uv_mutex_unlock(&arena.lock);
  return over;
}

static void set_over (void) {
  uv_mutex_lock(&arena.lock);
  arena.is_over = true;
  uv_mutex_unlock(&arena.lock);
}

static void note (int status) {
  uv_mutex_lock(&arena.lock);
  if (status == EDDY_OK) arena.answered++;
  else if (status == EDDY_ECANCELED) arena.given_up++;
  else if (status == EDDY_ECLOSED) arena.closed++;
  else arena.others++;
  uv_mutex_unlock(&arena.lock);
}

/* ---- 164 ---- */

static void test_s164_answered_before_it_waits (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  memset(&done, 0, sizeof done);
  spawn_watched(e,
    "local others = 0 eddy.spawn(function() others = others + 1 end) "
    "local status = early() assert(others == 0) eddy.sleep(0) assert(others == 1) "
    "return status",
    &done);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_IDLE);
  CHECK_EQ(done.status, EDDY_OK);
  CHECK_EQ(done.value, 7);
  CHECK_EQ(pushed, 1);
  CHECK_EQ(destroyed, 1);
  close_runtime(e);
}

/* ---- 165 ---- */

typedef struct sender {
  uv_thread_t thread;
  int number;
  long count;
} sender;

static void answer_all (void *ud) {
  sender *me = ud;
  while (!is_over()) {
    eddy_op *op = take_op();
    if (op == NULL) {
      sched_yield();
      continue;
    }
    ((ticket *)eddy_op_data(op))->sender = me->number;
    ((ticket *)eddy_op_data(op))->serial = ++me->count;
    note(eddy_op_complete(op, 1));
  }
}

static void start (sender *senders, void (*work)(void *)) {
  for (int i = 0; i < THREADS; i++) {
    senders[i].number = i;
    senders[i].count = 0;
    if (uv_thread_create(&senders[i].thread, work, &senders[i]) != 0) abort();
  }
}

static void join (sender *senders) {
  set_over();
  for (int i = 0; i < THREADS; i++) uv_thread_join(&senders[i].thread);
}

static void test_s165_answers_of_eight_threads (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  sender senders[THREADS];
  char text[100];
  long each = rounds(2000) * THREADS / (THREADS * WINDOW) + 1, total = 0;
  memset(&done, 0, sizeof done);
  snprintf(text, sizeof text, "for i = 1, %ld do assert(ticket() == 1) end", each);
  for (int i = 0; i < THREADS * WINDOW; i++) spawn_watched(e, text, &done);
  start(senders, answer_all);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  join(senders);
  for (int i = 0; i < THREADS; i++) {
    CHECK_EQ(last[i], senders[i].count); /* each once, in order */
    total += senders[i].count;
  }
  CHECK_EQ(total, each * THREADS * WINDOW);
  CHECK_EQ(arena.answered, total);
  CHECK_EQ(pushed, total);
  CHECK_EQ(destroyed, total);
  CHECK_EQ(done.done, THREADS * WINDOW);
  CHECK_EQ(done.status, EDDY_OK);
  CHECK_EQ(w.errors, 0);
  close_runtime(e);
}

/* ---- 166 ---- */

static void answer_plainly (void *ud) {
  (void)ud;
  while (!is_over()) {
    eddy_op *op = take_op();
    if (op != NULL) note(eddy_op_complete(op, 1));
    else sched_yield();
  }
}

/* Now the one, now the other comes first: the loop's thread waits a little, or does not. */
static void race_once (eddy *e, int round, witness *done) {
  eddy_id id[WINDOW];
  for (int i = 0; i < WINDOW; i++) id[i] = spawn_watched(e, "return ticket()", done);
  eddy_step(e, UINT64_MAX);
  for (int i = round % 5; i > 0; i--) sched_yield();
  for (int i = 0; i < WINDOW; i++) eddy_task_cancel(e, id[(i * 7) % WINDOW], NULL);
  eddy_step(e, UINT64_MAX);
}

static void count_outcome (
  eddy *e, eddy_id id, int status, lua_State *L, int n, void *ud) {
  long *outcome = ud;
  (void)e, (void)id, (void)L, (void)n;
  outcome[status == EDDY_OK ? 0 : status == EDDY_ECANCELED ? 1 : 2]++;
}

static void test_s166_an_answer_races_a_cancel (void) {
  witness w, done;
  eddy *e = open_tickets(&w);
  sender senders[THREADS];
  long tries = rounds(200), outcome[3] = {0, 0, 0}, total;
  memset(&done, 0, sizeof done);
  start(senders, answer_plainly);
  for (long i = 0; i < tries; i++) {
    race_once(e, (int)i, &done);
    eddy_task_on_done(e, spawn_text(e, "return ticket()"), count_outcome, outcome);
    eddy_step(e, 0);
  }
  CHECK_EQ(eddy_run(e), EDDY_IDLE); /* the last of those that nobody cancels */
  join(senders);
  eddy_step(e, 0);
  total = tries * (WINDOW + 1);
  CHECK_EQ(done.done + outcome[0], total); /* each task has one outcome */
  CHECK_EQ(outcome[0], tries);
  CHECK_EQ(outcome[1] + outcome[2], 0);
  CHECK_EQ(arena.answered + arena.given_up, begun);
  CHECK_EQ(arena.others + arena.closed, 0);
  CHECK_EQ(destroyed, begun); /* and each payload one end */
  CHECK(pushed <= arena.answered);
  CHECK_EQ(w.errors, 0);
  close_runtime(e);
}

/* ---- 167 ---- */

static void answer_late (bool by_state) {
  witness w;
  eddy_config config = witnessed(&w);
  lua_State *L = luaL_newstate();
  eddy_op *op;
  eddy *e;
  luaL_openlibs(L);
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_OK);
  lua_register(L, "ticket", l_ticket);
  memset(&arena, 0, sizeof arena);
  uv_mutex_init(&arena.lock);
  pushed = destroyed = begun = 0;
  spawn_text(e, "ticket()");
  eddy_step(e, UINT64_MAX);
  op = take_op();
  if (by_state) lua_close(L);
  else CHECK_EQ(eddy_close(e, 0), 1);
  CHECK_EQ(destroyed, 1);
  CHECK(eddy_op_cancelled(op));
  eddy_op_retain(op);
  CHECK_EQ(eddy_op_complete(op, 1), EDDY_ECLOSED);
  CHECK_EQ(eddy_op_complete(op, 1), EDDY_ECLOSED);
  CHECK_EQ(destroyed, 1);
  CHECK_EQ(pushed, 0);
  if (!by_state) lua_close(L);
  eddy_release(e);
}

static void test_s167_answered_when_all_is_closed (void) {
  answer_late(false);
  answer_late(true);
}

/* ---- 168 ---- */

static eddy *posted_to;

static void post_numbers (void *ud) {
  long from = *(long *)ud;
  for (long i = from; i < from + 100; i++) {
    char text[20];
    int len = snprintf(text, sizeof text, "%ld", i);
    CHECK_EQ(eddy_post(posted_to, "number", text, (size_t)len), EDDY_OK);
  }
}

static void post_in_thread (long from) {
  uv_thread_t thread;
  if (uv_thread_create(&thread, post_numbers, &from) != 0) abort();
  uv_thread_join(&thread);
}

static int l_post_meanwhile (lua_State *L) {
  post_in_thread(luaL_checkinteger(L, 1));
  return 0;
}

static void test_s168_posts_come_in_order_or_are_refused (void) {
  witness w, done;
  eddy *e = posted_to = open_runtime(&w);
  memset(&done, 0, sizeof done);
  lua_register(eddy_lua(e), "post_meanwhile", l_post_meanwhile);
  spawn_watched(e,
    "local n = 0 for text in eddy.on('number') do assert(tonumber(text) == n, text) "
    "n = n + 1 if n == 50 then post_meanwhile(100) end if n == 300 then return n end end",
    &done);
  eddy_step(e, UINT64_MAX); /* it listens */
  post_in_thread(0);        /* before the run; 100 to 199 come in the middle of it */
  CHECK(eddy_step(e, UINT64_MAX) > EDDY_IDLE);
  CHECK_EQ(eddy_stop(e), EDDY_OK);
  CHECK_EQ(eddy_run(e), EDDY_WAITING);
  post_in_thread(200); /* after the stop */
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(done.value, 300);
  CHECK(eddy_close(e, 0) >= 0);
  CHECK_EQ(eddy_post(e, "number", "1", 1), EDDY_ECLOSED);
  CHECK_EQ(eddy_call_soon(e, NULL, NULL) < 0, 1);
  eddy_release(e);
}

int main (void) {
  test_s039_what_cannot_be_given_up();
  test_s040_a_shield_does_not_lose_the_cancel();
  test_s164_answered_before_it_waits();
  test_s165_answers_of_eight_threads();
  test_s166_an_answer_races_a_cancel();
  test_s167_answered_when_all_is_closed();
  test_s168_posts_come_in_order_or_are_refused();
  return test_report();
}
