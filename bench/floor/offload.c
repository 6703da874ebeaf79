/* SPDX-License-Identifier: MIT */
/*
** offload.c JOBS: that many empty jobs at a time through libuv's thread pool, each queued again
** from its own answer. Prints wall-clock microseconds a job: most of it is threads waking each
** other, which CPU time does not show.
*/
#include <uv.h>
#include "floor.h"

static uv_loop_t loop;
static long left;

static void work (uv_work_t *job) { (void)job; }

static void after_work (uv_work_t *job, int status) {
  (void)status;
  if (left-- > 0) uv_queue_work(&loop, job, work, after_work);
}

static int jobs;

static double run_jobs (lua_State *L, long n) {
  uv_work_t job[256];
  uint64_t began = uv_hrtime();
  (void)L;
  left = n - jobs;
  for (int i = 0; i < jobs; i++) uv_queue_work(&loop, &job[i], work, after_work);
  uv_run(&loop, UV_RUN_DEFAULT);
  return (double)(uv_hrtime() - began) * 1e-9;
}

int main (int argc, char **argv) {
  lua_State *L = new_state();
  jobs = argc > 1 ? atoi(argv[1]) : 1;
  if (jobs > 256) return 1;
  uv_loop_init(&loop);
  printf("%.3f\n", ns_per_unit(L, run_jobs) / 1000);
  return 0;
}
