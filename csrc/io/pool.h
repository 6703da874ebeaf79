/* SPDX-License-Identifier: MIT */
/*
** The threads on which workers run, and the queue of jobs between them and a loop. They are
** threads of our own: long Lua work never keeps libuv's few from files and names.
**
** A thread is started when a job finds nobody idle, up to the limit; all end together. One lock
** guards everything; a job's bytes belong to the loop's thread before and after, and to the
** worker's thread while it runs. Nothing here touches Lua or a libuv loop, but for ringing the
** bell, which is done under the lock: when nobody is to ring any more, nobody does.
**
** A thread that does not come back (it is in a C function that takes its time) is *left*: it
** counts no more, what it holds is its own, and it ends by itself should it ever come back.
** Memory that it may touch lives as long as it does.
*/
#ifndef ED_POOL_H
#define ED_POOL_H

#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "io/worker.h"

typedef struct ed_pool ed_pool;
typedef struct ed_thread ed_thread;

typedef enum ed_job_state {
  ED_JOB_QUEUED,
  ED_JOB_RUNNING,
  ED_JOB_ENDED,
  ED_JOB_LEFT /* its thread frees it */
} ed_job_state;

typedef struct ed_job {
  ed_link link;
  ed_thread *thread;  /* that runs it */
  ed_job_state state; /* under the lock */
  ed_bytes values;
  ed_answer answer;
  void *owner; /* the pool does not look at it */
} ed_job;

/* A job with these bytes, which are taken over; or NULL. */
ed_job *ed_job_new (ed_bytes values, void *owner);
void ed_job_free (ed_job *job);

/* Takes the setup over, also when it returns NULL. */
ed_pool *ed_pool_new (ed_worker_setup *setup, unsigned limit);

/*
** Queue a job. 'bell' is rung when it has ended; every job of the pool names the same. Returns 0,
** or a UV_E code when there is no thread and none can be started: then nothing is queued.
*/
int ed_pool_submit (ed_pool *pool, ed_job *job, uv_async_t *bell);

/* Move the jobs that have ended to 'list'. */
void ed_pool_collect (ed_pool *pool, ed_link *list);

/* Nobody rings the bell from now on (until the next submit). */
void ed_pool_silence (ed_pool *pool);

/*
** Nobody wants this job any more. Returns the state it was found in: queued, it has been taken
** out and never runs; running, its worker has been told to stop, and may be told again.
*/
ed_job_state ed_pool_stop (ed_pool *pool, ed_job *job);

/* Do not wait for a running job: true if it was left, false if it has ended meanwhile. */
bool ed_pool_leave (ed_pool *pool, ed_job *job);

/*
** End all threads, at most for 'ns', and free the pool. Running jobs are told to stop; those that
** do not are left. Jobs that ended are moved to 'list', queued ones too. Returns how many threads
** were left, now or before, and have not come back. Between interrupt begin and end.
*/
unsigned ed_pool_end (ed_pool *pool, uint64_t ns, ed_link *list);

#endif
