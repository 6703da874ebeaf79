/* SPDX-License-Identifier: MIT */
/*
** The journal: a line for each thing that decides what happens next, in the order in which it
** happened: what the host asked for, which task was resumed and for what, how the host's tasks
** ended. Two runs with the same lines did the same; the first line that differs tells where they
** parted. A runtime without a journal pays one compare a step.
**
** Lines hold nothing of the real world: the time is that of the script clock since the runtime
** began, numbers are those of tasks and posts in their order, and no address is printed.
*/
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/loop.h"
#include "core/slice.h"
#include "host/host.h"

enum { LINE = 256 }; /* longer names are cut */

void ed_journal (eddy *e, const char *format, ...) {
  char line[LINE];
  va_list args;
  int n, more;
  if (e->config.journal == NULL) return;
  n = snprintf(line, sizeof line, "%" PRIu64 " ", ed_loop_now(e->loop) - e->began);
  va_start(args, format);
  more = vsnprintf(line + n, sizeof line - (size_t)n, format, args);
  va_end(args);
  n = more < (int)sizeof line - n ? n + more : (int)sizeof line - 1;
  e->config.journal(e, line, (size_t)n, e->config.userdata);
}

/* What a ready task comes back for. */
static void describe (const ed_task *task, char *text, size_t room) {
  const ed_op *op = task->op;
  if (!task->has_started) snprintf(text, room, "start");
  else if (op == NULL)
    snprintf(text, room, "turn"); /* others ran first, or it is cancelled */
  else {
    snprintf(text, room, "%s", op->type->name);
    if (op->type == &ed_host_wait_type) op->type->describe(op, text, room);
  }
}

static void note_next (eddy *e) {
  const ed_task *task = ED_OF(e->loop->ready.next, ed_task, ready);
  char what[64] = "";
  describe(task, what, sizeof what);
  ed_journal(e, "run %" PRIu32 " %s", task->id, what);
}

/* As ed_loop_run_until, a task at a time. */
static void run_noted (eddy *e, uint64_t end) {
  ed_loop *loop = e->loop;
  ed_slice_begin_round(loop);
  while (!ed_list_is_empty(&loop->ready)) {
    note_next(e);
    ed_task_run_ready(loop, 1);
    loop->now = ed_loop_now(loop);
    if (uv_hrtime() >= end || ed_slice_ends_round(loop)) break;
  }
}

void ed_host_run_ready (eddy *e, uint64_t end, int batch) {
  if (e->config.journal == NULL) ed_loop_run_until(e->loop, end, batch);
  else run_noted(e, end);
}
