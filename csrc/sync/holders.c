/* SPDX-License-Identifier: MIT */
#include "sync/holders.h"

#include <stdio.h>
#include <string.h>

#include "core/loop.h"

static void free_row (ed_holder *row) {
  ed_list_remove(&row->watch.link);
  row->task = NULL;
  row->what = NULL;
}

static void holder_ended (ed_watch *watch, ed_task *task) {
  (void)task;
  ED_OF(watch, ed_holder, watch)->task = NULL;
}

/* The row with such a holder, or NULL. */
static ed_holder *row_of (ed_holders *h, const ed_task *task) {
  for (ed_holder *row = h->rows; row < h->rows + ED_HOLDERS; row++)
    if (row->task == task) return row;
  return NULL;
}

void ed_holders_add (ed_holders *h, ed_task *task, const void *what) {
  ed_holder *row = task != NULL && !h->is_finalized ? row_of(h, NULL) : NULL;
  if (row == NULL) {
    h->others++;
    return;
  }
  row->task = task;
  row->what = what;
  row->watch.ended = holder_ended;
  row->watch.is_silent = true;
  ed_list_append(&task->watchers, &row->watch.link);
}

void ed_holders_remove (ed_holders *h, const void *what) {
  for (ed_holder *row = h->rows; row < h->rows + ED_HOLDERS; row++) {
    if (row->what != what) continue;
    if (row->task != NULL) free_row(row);
    row->what = NULL;
    return;
  }
  if (h->others > 0) h->others--;
}

void ed_holders_remove_any (ed_holders *h, const ed_task *task) {
  ed_holder *row = task != NULL ? row_of(h, task) : NULL;
  for (ed_holder *at = h->rows; row == NULL && at < h->rows + ED_HOLDERS; at++)
    if (at->task != NULL) row = at;
  if (row != NULL) free_row(row);
  else if (h->others > 0) h->others--;
}

void ed_holders_finalize (ed_holders *h) {
  h->is_finalized = true;
  for (ed_holder *row = h->rows; row < h->rows + ED_HOLDERS; row++)
    if (row->task != NULL) free_row(row);
}

static void append (char *text, size_t room, const char *before, const char *name) {
  size_t len = strlen(text);
  if (len < room) snprintf(text + len, room - len, "%s%s", before, name);
}

void ed_holders_describe (const ed_holders *h, char *text, size_t room) {
  const char *before = ", held by ";
  char name[64];
  for (const ed_holder *row = h->rows; row < h->rows + ED_HOLDERS; row++) {
    if (row->task == NULL) continue;
    ed_task_name(row->task->loop->L, row->task, name, sizeof name);
    append(text, room, before, name);
    before = ", ";
  }
  if (h->others == 0 || before[2] == 'h') return;
  snprintf(
    name, sizeof name, "%u other%s", (unsigned)h->others, h->others == 1 ? "" : "s");
  append(text, room, " and ", name);
}
