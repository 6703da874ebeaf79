/* SPDX-License-Identifier: MIT */
/*
** Eight threads complete operations while the loop's thread cancels, kills and closes: each
** operation has exactly one outcome, which the script, the class and the completing threads
** agree on. EDDY_COMPLETIONS says how many are raced (`make stress`: a million); a tenth otherwise.
**
** Each operation is completed twice, by two threads: of those answers exactly one is not
** EDDY_ESTALE, unless the runtime closed before: then both are EDDY_ECLOSED.
*/
#include <sched.h>

#include "host.h"

enum { THREADS = 8, TASKS = 64, ROOM = 4096, ROUND = 1000, SEALS = 1 << 16 };

/* What became of one operation. The loop's thread writes the first three, 'answers' is the lock's. */
typedef struct fate {
  uint8_t pushed, cancelled, destroyed;
  uint8_t answers, firsts, closed; /* of eddy_op_complete: all, not ESTALE, ECLOSED */
} fate;

typedef struct raced {
  fate *fate;
} raced;

typedef struct job {
  eddy_op *op;
  fate *fate;
} job;

typedef struct arena {
  uv_mutex_t lock;
  uv_cond_t filled;
  job queue[ROOM]; /* of twice each operation */
  int first, n;
  bool is_over;
  fate *fates;
  long made;
  eddy *e;
} arena;

static arena a;

/* ---- the loop's thread ---- */

static int push_raced (lua_State *L, void *data, int status) {
  ((raced *)data)->fate->pushed++;
  lua_pushinteger(L, status);
  return 1;
}

static void cancel_raced (void *data) { ((raced *)data)->fate->cancelled++; }

static void destroy_raced (void *data) { ((raced *)data)->fate->destroyed++; }

static const eddy_op_class raced_class = {
  "raced", push_raced, cancel_raced, destroy_raced};

static void queue_job (eddy_op *op, fate *f) {
  job j = {op, f};
  if (a.n == ROOM) abort();
  a.queue[(a.first + a.n++) % ROOM] = j;
}

static int l_race (lua_State *L) {
  eddy_op *op;
  fate *f;
  eddy_op_new(L, &raced_class, sizeof(raced), &op);
  f = ((raced *)eddy_op_data(op))->fate = &a.fates[a.made++];
  eddy_op_retain(op);
  uv_mutex_lock(&a.lock);
  queue_job(op, f);
  queue_job(op, f);
  uv_cond_broadcast(&a.filled);
  uv_mutex_unlock(&a.lock);
  return eddy_op_wait(L, op);
}

/* ---- the other threads ---- */

/* False: it is over. */
static bool take_job (job *j) {
  bool has;
  uv_mutex_lock(&a.lock);
  while (a.n == 0 && !a.is_over) uv_cond_wait(&a.filled, &a.lock);
  if ((has = a.n > 0)) {
    *j = a.queue[a.first];
    a.first = (a.first + 1) % ROOM;
    a.n--;
  }
  uv_mutex_unlock(&a.lock);
  return has;
}

static void note_answer (fate *f, int status) {
  uv_mutex_lock(&a.lock);
  f->answers++;
  if (status == EDDY_OK || status == EDDY_ECANCELED) f->firsts++;
  else if (status == EDDY_ECLOSED) f->closed++;
  else if (status != EDDY_ESTALE) f->answers += 100;
  uv_mutex_unlock(&a.lock);
}

static void complete_all (void *ud) {
  job j;
  (void)ud;
  while (take_job(&j)) {
    (void)eddy_op_cancelled(j.op);
    note_answer(j.fate, eddy_op_complete(j.op, 1));
  }
}

/* ---- a round ---- */

static const char loop_text[] = "local race = race\n"
                                "while true do race() end\n";

static eddy_id spawn_racer (eddy *e) {
  eddy_id id = 0;
  CHECK_EQ(
    eddy_spawn_buffer(e, loop_text, sizeof loop_text - 1, "=racer", NULL, &id), EDDY_OK);
  return id;
}

/* One of the racers, if it waits, is cancelled or killed, and another takes its place. */
static void disturb (eddy *e, eddy_id *id, unsigned turn) {
  eddy_id *victim = &id[turn * 7 % TASKS];
  if (eddy_task_status(e, *victim) != EDDY_TASK_WAITING) return;
  if (turn % 5 == 4) eddy_task_kill(e, *victim);
  else eddy_task_cancel(e, *victim, "raced");
  *victim = spawn_racer(e);
}

static void drive (eddy *e, long wanted) {
  eddy_id id[TASKS];
  for (int i = 0; i < TASKS; i++) id[i] = spawn_racer(e);
  for (unsigned turn = 0; a.made < wanted; turn++) {
    if (eddy_step(e, turn % 4 * 5000) == EDDY_WAITING) sched_yield();
    disturb(e, id, turn);
  }
}

static void judge (long *answered) {
  long bad = 0;
  for (long i = 0; i < a.made; i++) {
    const fate *f = &a.fates[i];
    bool is_single = f->pushed + f->cancelled <= 1 && f->destroyed == 1;
    bool is_told = f->answers == 2
      && (f->firsts == 1 || (f->firsts == 0 && f->closed == 2 && f->pushed == 0));
    bad += !(is_single && is_told);
    *answered += f->pushed;
  }
  CHECK_EQ(bad, 0);
}

/* 'wanted' operations, and some that the close finds. Returns how many there were. */
static long race (long wanted, long *answered) {
  witness w;
  uv_thread_t thread[THREADS];
  eddy *e;
  memset(&a, 0, sizeof a);
  uv_mutex_init(&a.lock);
  uv_cond_init(&a.filled);
  a.fates = calloc((size_t)wanted + SEALS, sizeof *a.fates);
  if (a.fates == NULL) abort();
  e = open_runtime(&w);
  lua_register(eddy_lua(e), "race", l_race);
  for (int i = 0; i < THREADS; i++)
    if (uv_thread_create(&thread[i], complete_all, NULL) != 0) abort();
  drive(e, wanted);
  CHECK(eddy_close(e, 0) >= 0);
  eddy_release(e);
  uv_mutex_lock(&a.lock);
  a.is_over = true;
  uv_cond_broadcast(&a.filled);
  uv_mutex_unlock(&a.lock);
  for (int i = 0; i < THREADS; i++) uv_thread_join(&thread[i]);
  CHECK_EQ(w.errors, 0);
  judge(answered);
  free(a.fates);
  uv_cond_destroy(&a.filled);
  uv_mutex_destroy(&a.lock);
  return a.made;
}

/*
** A thread for each round: where liblua is built with checked longjmp, which the thread sanitizer
** does not see, its idea of a thread's stack grows with every error and yield that passes our frames.
*/
typedef struct round_of_races {
  long made, answered;
} round_of_races;

static void run_round (void *ud) {
  round_of_races *r = ud;
  r->made += race(ROUND, &r->answered);
}

int main (void) {
  const char *text = getenv("EDDY_COMPLETIONS");
  long wanted = text != NULL ? atol(text) : 100000;
  round_of_races sum = {0, 0};
  while (sum.made < wanted) {
    uv_thread_t thread;
    if (uv_thread_create(&thread, run_round, &sum) != 0) abort();
    uv_thread_join(&thread);
  }
  CHECK(sum.answered > 0);
  printf("%ld operations, %ld answered in time\n", sum.made, sum.answered);
  return test_report();
}
