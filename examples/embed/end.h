/* SPDX-License-Identifier: MIT */
/*
** How each example ends: close the runtime, then count what is left of it. Nothing must be.
*/
#ifndef EXAMPLE_END_H
#define EXAMPLE_END_H

#include <stdio.h>

#include "eddy.h"

static inline unsigned long long count_left (eddy *e) {
  eddy_stats_t s;
  if (eddy_stats(e, &s, sizeof s) < 0) return 1;
  return s.tasks + s.operations + s.handles + s.timers + s.jobs + s.groups + s.posted;
}

/* An exit status: 0 when the tasks have ended well before, and when nothing is left. */
static inline int end_runtime (eddy *e, uint64_t grace_ns) {
  unsigned long long before = count_left(e), after;
  int killed = eddy_close(e, grace_ns);
  after = count_left(e);
  eddy_release(e);
  if (before == 0 && killed == 0 && after == 0) return 0;
  printf("before the end %llu, killed %d, left %llu\n", before, killed, after);
  return after != 0 || killed < 0;
}

#endif
