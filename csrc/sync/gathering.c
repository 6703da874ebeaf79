/* SPDX-License-Identifier: MIT */
/*
** What becomes of the failures that a gather or race was to raise when its caller is killed: each goes to
** config.on_error, or to the owner of the task, and is told once.
*/
#include "sync/gathering.h"

#include "core/loop.h"
#include "core/report.h"

/* Was this what the caller would have raised? Of 'any' only the whole answer can say that none won. */
static bool was_to_raise (const gathering *g, const member *m, bool is_whole) {
  if (m->state != ED_TASK_FAILED || g->is_finished) return false;
  if (g->mode == GATHER_RACE) return g->winner == (uint32_t)(m - g->row) + 1;
  if (g->mode == GATHER_ANY) return is_whole && g->winner == 0 && g->cause == NULL;
  return g->mode == GATHER_ALL;
}

/* What a task that was there before has failed with is ours if nobody else was told. */
static void report (lua_State *co, const gathering *g, bool is_whole) {
  if (g->op.loop->is_closing) return;
  for (uint32_t i = 0; i < g->n; i++) {
    const member *m = &g->row[i];
    if (!was_to_raise(g, m, is_whole)) continue;
    if (m->is_own) ed_report_failure(m->task);
    else if (m->is_last) {
      ed_gathering_push_argument(co, g, i);
      ed_report_ended(g->op.loop, co);
    }
  }
}

void ed_gathering_give_back (lua_State *co, ed_op *op) {
  report(co, (const gathering *)op, true);
}

/*
** Those made here are killed next, and fail with nothing any more. What others that still live fail with
** is their owners', as if nobody had waited for them.
*/
void ed_gathering_withdraw (ed_op *op) {
  gathering *g = (gathering *)op;
  for (uint32_t i = 0; i < g->n; i++)
    if (!g->row[i].is_own) g->row[i].watch.is_silent = true;
  report(ed_task_leaf(op->task), g, false);
}
