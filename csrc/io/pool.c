/* SPDX-License-Identifier: MIT */
/*
** Threads and their queue. The pool is owned by the loop and by every thread; the last one out
** frees it.
*/
#include "io/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
  LOOK_NS = 10000000, /* between two looks at who has ended, at the end */
  SPIN_NS = 50000,    /* a thread without a job looks for one before it sleeps */
  SPIN_ROUNDS = 32    /* between two looks at the clock */
};

struct ed_thread {
  ed_worker worker; /* first */
  ed_link link;     /* in pool->threads or pool->ended */
  ed_pool *pool;
  ed_job *job;
  uv_thread_t id;
  bool is_left;  /* nobody joins it: it frees itself */
  bool is_eager; /* its last job came soon after the one before */
};

struct ed_pool {
  uv_mutex_t lock; /* of all that follows */
  uv_cond_t work;  /* there is a job, or the end has come */
  uv_cond_t gone;  /* a thread has ended */
  ed_link queue;   /* ed_job */
  ed_link done;    /* ed_job */
  ed_link threads; /* ed_thread */
  ed_link ended;   /* ed_thread, to be joined */
  uv_async_t *bell;
  ed_worker_setup *setup; /* constant: without the lock */
  unsigned limit;         /* of threads that are not left */
  unsigned nidle, nthreads, nleft;
  unsigned owners;  /* the loop, and every thread */
  bool may_spin;    /* there is another core */
  bool is_spinning; /* one of the idle threads does not sleep */
  bool is_ending;
  atomic_uint nqueued; /* the one thing that is also read without the lock */
};

/* ---- jobs ---- */

ed_job *ed_job_new (ed_bytes values, void *owner) {
  ed_job *job = calloc(1, sizeof *job);
  if (job == NULL) return NULL;
  ed_list_init(&job->link);
  job->values = values;
  job->owner = owner;
  return job;
}

void ed_job_free (ed_job *job) {
  if (job == NULL) return;
  free(job->values.at);
  free(job->answer.values.at);
  free(job);
}

/* ---- life of the pool ---- */

static void free_pool (ed_pool *pool) {
  uv_mutex_destroy(&pool->lock);
  uv_cond_destroy(&pool->work);
  uv_cond_destroy(&pool->gone);
  ed_worker_setup_free(pool->setup);
  free(pool);
}

/* Unlock, and let go of the pool. */
static void let_go (ed_pool *pool) {
  bool is_last = --pool->owners == 0;
  uv_mutex_unlock(&pool->lock);
  if (is_last) free_pool(pool);
}

static bool init_locks (ed_pool *pool) {
  if (uv_mutex_init(&pool->lock) < 0) return false;
  if (uv_cond_init(&pool->work) == 0) {
    if (uv_cond_init(&pool->gone) == 0) return true;
    uv_cond_destroy(&pool->work);
  }
  uv_mutex_destroy(&pool->lock);
  return false;
}

ed_pool *ed_pool_new (ed_worker_setup *setup, unsigned limit) {
  ed_pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL || !init_locks(pool)) {
    ed_worker_setup_free(setup);
    free(pool);
    return NULL;
  }
  ed_list_init(&pool->queue), ed_list_init(&pool->done);
  ed_list_init(&pool->threads), ed_list_init(&pool->ended);
  pool->setup = setup;
  pool->limit = limit;
  pool->owners = 1;
  pool->may_spin = uv_available_parallelism() > 1;
  atomic_init(&pool->nqueued, 0);
  return pool;
}

/* ---- a thread; everything under the lock, but for running ---- */

static bool is_wanted (const ed_pool *pool) {
  return !ed_list_is_empty(&pool->queue) || pool->is_ending;
}

/* Leave the core's other half to whoever has work, for some ten nanoseconds. */
static void relax (void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ __volatile__("yield");
#endif
}

/* Look for a job until 'end', without the lock. */
static void spin (ed_pool *pool, uint64_t end) {
  pool->is_spinning = true;
  uv_mutex_unlock(&pool->lock);
  do
    for (int i = 0; i < SPIN_ROUNDS && atomic_load(&pool->nqueued) == 0; i++) relax();
  while (atomic_load(&pool->nqueued) == 0 && uv_hrtime() < end);
  uv_mutex_lock(&pool->lock);
  pool->is_spinning = false;
}

/*
** Waking a thread that sleeps takes longer than a short job. Where jobs follow each other
** closely, one thread stays awake for the next: whoever waited for less than SPIN_NS last time.
*/
static void await_job (ed_pool *pool, ed_thread *thread) {
  uint64_t began = uv_hrtime();
  pool->nidle++;
  if (thread->is_eager && pool->may_spin && !pool->is_spinning)
    spin(pool, began + SPIN_NS);
  while (!is_wanted(pool)) uv_cond_wait(&pool->work, &pool->lock);
  pool->nidle--;
  thread->is_eager = uv_hrtime() - began < SPIN_NS;
}

static ed_job *take_job (ed_pool *pool, ed_thread *thread) {
  ed_link *first;
  if (!is_wanted(pool)) await_job(pool, thread);
  if ((first = ed_list_shift(&pool->queue)) == NULL) return NULL;
  pool->nqueued--;
  return ED_OF(first, ed_job, link);
}

static void finish_job (ed_thread *thread, ed_job *job) {
  ed_pool *pool = thread->pool;
  thread->job = NULL;
  job->thread = NULL;
  if (job->state == ED_JOB_LEFT) {
    ed_job_free(job);
    return;
  }
  job->state = ED_JOB_ENDED;
  if (pool->bell != NULL && ed_list_is_empty(&pool->done)) uv_async_send(pool->bell);
  ed_list_append(&pool->done, &job->link);
}

static void run_job (ed_thread *thread, ed_job *job) {
  ed_pool *pool = thread->pool;
  thread->job = job;
  job->thread = thread;
  job->state = ED_JOB_RUNNING;
  atomic_store(&thread->worker.is_stopping, 0);
  uv_mutex_unlock(&pool->lock);
  ed_worker_run(&thread->worker, &job->values, &job->answer);
  uv_mutex_lock(&pool->lock);
  finish_job(thread, job);
}

/* Something was broken off in the middle: nobody knows what the state is like. */
static void close_worker (ed_thread *thread) {
  uv_mutex_unlock(&thread->pool->lock);
  ed_worker_close(&thread->worker);
  uv_mutex_lock(&thread->pool->lock);
}

/* The thread's last act under the lock; whoever joins it frees it, unless it was left. */
static void end_thread (ed_thread *thread) {
  ed_pool *pool = thread->pool;
  ed_interrupt_ignore(&thread->worker.interruptible);
  ed_list_remove(&thread->link);
  if (thread->is_left) pool->nleft--, free(thread);
  else {
    pool->nthreads--;
    ed_list_append(&pool->ended, &thread->link);
  }
  uv_cond_signal(&pool->gone);
  let_go(pool);
}

static void run_thread (void *data) {
  ed_thread *thread = data;
  ed_pool *pool = thread->pool;
  ed_job *job;
  ed_interrupt_accept(&thread->worker.interruptible);
  uv_mutex_lock(&pool->lock);
  while (!thread->is_left && (job = take_job(pool, thread)) != NULL) {
    run_job(thread, job);
    if (atomic_load(&thread->worker.is_stopping)) close_worker(thread);
  }
  close_worker(thread);
  end_thread(thread);
}

static int start_thread (ed_pool *pool) {
  ed_thread *thread = calloc(1, sizeof *thread);
  int status;
  if (thread == NULL) return UV_ENOMEM;
  ed_worker_init(&thread->worker, pool->setup);
  thread->pool = pool;
  if ((status = uv_thread_create(&thread->id, run_thread, thread)) < 0) {
    free(thread);
    return status;
  }
  ed_list_append(&pool->threads, &thread->link);
  pool->nthreads++;
  pool->owners++;
  return 0;
}

/* Are there more jobs than threads that wait for one? Start another, if that is allowed. */
static int provide_thread (ed_pool *pool) {
  if (pool->nqueued <= pool->nidle || pool->nthreads >= pool->limit) return 0;
  return start_thread(pool);
}

/* ---- the loop's side ---- */

int ed_pool_submit (ed_pool *pool, ed_job *job, uv_async_t *bell) {
  bool is_asleep;
  int status;
  uv_mutex_lock(&pool->lock);
  pool->bell = bell;
  pool->nqueued++;
  status = provide_thread(pool);
  if (status < 0 && pool->nthreads == 0) pool->nqueued--;
  else {
    status = 0;
    ed_list_append(&pool->queue, &job->link);
  }
  is_asleep = pool->nidle > pool->is_spinning && pool->nqueued > pool->is_spinning;
  uv_mutex_unlock(&pool->lock);
  if (is_asleep)
    uv_cond_signal(&pool->work); /* not under the lock, which it takes first */
  return status;
}

void ed_pool_collect (ed_pool *pool, ed_link *list) {
  ed_link *at;
  uv_mutex_lock(&pool->lock);
  while ((at = ed_list_shift(&pool->done)) != NULL) ed_list_append(list, at);
  uv_mutex_unlock(&pool->lock);
}

void ed_pool_silence (ed_pool *pool) {
  uv_mutex_lock(&pool->lock);
  pool->bell = NULL;
  uv_mutex_unlock(&pool->lock);
}

/* A job runs: tell its worker. The thread is alive, because it cannot end without the lock. */
static void tell_thread (ed_thread *thread) {
  atomic_store(&thread->worker.is_stopping, 1);
  ed_interrupt_send(thread->id);
}

ed_job_state ed_pool_stop (ed_pool *pool, ed_job *job) {
  ed_job_state state;
  uv_mutex_lock(&pool->lock);
  state = job->state;
  if (state == ED_JOB_QUEUED) {
    ed_list_remove(&job->link);
    pool->nqueued--;
  } else if (state == ED_JOB_RUNNING) tell_thread(job->thread);
  uv_mutex_unlock(&pool->lock);
  return state;
}

static void leave_thread (ed_pool *pool, ed_thread *thread) {
  if (thread->job != NULL) thread->job->state = ED_JOB_LEFT;
  thread->is_left = true;
  pthread_detach(thread->id);
  pool->nthreads--;
  pool->nleft++;
}

bool ed_pool_leave (ed_pool *pool, ed_job *job) {
  bool is_running;
  uv_mutex_lock(&pool->lock);
  is_running = job->state == ED_JOB_RUNNING;
  if (is_running) {
    leave_thread(pool, job->thread);
    provide_thread(pool); /* in its place; without memory the others do its work */
  }
  uv_mutex_unlock(&pool->lock);
  return is_running;
}

static void stop_all (ed_pool *pool) {
  for (ed_link *at = pool->threads.next; at != &pool->threads; at = at->next) {
    ed_thread *thread = ED_OF(at, ed_thread, link);
    if (thread->job != NULL) tell_thread(thread);
  }
}

/* Wait until all threads, also those that were left, have ended, or the time is over. */
static void await_threads (ed_pool *pool, uint64_t ns) {
  uint64_t end = uv_hrtime() + ns;
  while (pool->nthreads + pool->nleft > 0 && uv_hrtime() < end) {
    stop_all(pool);
    uv_cond_timedwait(&pool->gone, &pool->lock, LOOK_NS);
  }
  for (ed_link *at = pool->threads.next; at != &pool->threads; at = at->next)
    if (!ED_OF(at, ed_thread, link)->is_left)
      leave_thread(pool, ED_OF(at, ed_thread, link));
}

/* Those that have ended need no lock to leave for good. */
static void join_threads (ed_link *ended) {
  ed_link *at;
  while ((at = ed_list_shift(ended)) != NULL) {
    ed_thread *thread = ED_OF(at, ed_thread, link);
    uv_thread_join(&thread->id);
    free(thread);
  }
}

static void move_all (ed_link *from, ed_link *to) {
  ed_link *at;
  while ((at = ed_list_shift(from)) != NULL) ed_list_append(to, at);
}

unsigned ed_pool_end (ed_pool *pool, uint64_t ns, ed_link *list) {
  ed_link ended;
  unsigned left;
  ed_list_init(&ended);
  uv_mutex_lock(&pool->lock);
  pool->bell = NULL;
  pool->is_ending = true;
  move_all(&pool->queue, list);
  pool->nqueued = 0;
  uv_cond_broadcast(&pool->work);
  await_threads(pool, ns);
  move_all(&pool->done, list);
  move_all(&pool->ended, &ended);
  left = pool->nleft;
  let_go(pool);
  join_threads(&ended);
  return left;
}
