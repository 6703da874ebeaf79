/* SPDX-License-Identifier: MIT */
/*
** What becomes of the failures that a gather or race was to raise when its caller is killed: each goes to
** config.on_error, or to the owner of the task, and is told once.
*/
#include "sync/gathering.h"

#include "core/loop.h"
#include "core/report.h"

/* Was this what the caller would have raised? Of 'any' only an answer in hand can say that none won. */
static bool was_to_raise (const gathering *g, const member *m) {
  if (m->state != ED_TASK_FAILED || g->is_finished) return false;
  if (g->mode == GATHER_RACE) return g->winner == (uint32_t)(m - g->row) + 1;
  if (g->mode == GATHER_ANY) return g->is_unheard && g->winner == 0 && g->cause == NULL;
  return g->mode == GATHER_ALL;
}

/* Who tells of the failures that the caller would have raised? Of our own at the end of all, */
void ed_gathering_report (const gathering *g) {
  if (g->op.loop->is_closing) return;
  for (uint32_t i = 0; i < g->n; i++)
    if (g->row[i].is_own && was_to_raise(g, &g->row[i]))
      ed_report_failure(g->row[i].task);
}

/* and of tasks that were there before as long as there are the arguments, if nobody else was told. */
static void report_foreign (lua_State *co, const gathering *g) {
  if (g->op.loop->is_closing) return;
  for (uint32_t i = 0; i < g->n; i++) {
    if (!g->row[i].is_last || g->row[i].is_own || !was_to_raise(g, &g->row[i])) continue;
    ed_gathering_push_argument(co, g, i);
    ed_report_ended(g->op.loop, co);
  }
}

void ed_gathering_give_back (lua_State *co, ed_op *op) {
  gathering *g = (gathering *)op;
  g->is_unheard = true;
  report_foreign(co, g);
}

/* What those that still live fail with is their owners', as if nobody had waited for them. */
void ed_gathering_withdraw (ed_op *op) {
  gathering *g = (gathering *)op;
  for (uint32_t i = 0; i < g->n; i++)
    if (!g->row[i].is_own) g->row[i].watch.is_silent = true;
  report_foreign(ed_task_leaf(op->task), g);
}
