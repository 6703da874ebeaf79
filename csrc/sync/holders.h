/* SPDX-License-Identifier: MIT */
/*
** Who holds what several may hold: for the task tree and for reports of deadlocks only.
**
** A few rows inside the object, each a silent watch of the task that holds; who finds no free row is
** counted. A task that ends leaves its row. Nothing is allocated, and nothing depends on it.
*/
#ifndef ED_HOLDERS_H
#define ED_HOLDERS_H

#include "core/task.h"

enum { ED_HOLDERS = 3 };

typedef struct ed_holder {
  ed_watch watch;
  ed_task *task;    /* NULL: a free row */
  const void *what; /* it holds: an address, to be compared only */
} ed_holder;

typedef struct ed_holders {
  ed_holder rows[ED_HOLDERS];
  uint32_t others;   /* held, and in no row */
  bool is_finalized; /* the collector has found the object: no task may point to it */
} ed_holders;

/* 'task' (NULL: nobody) holds 'what'. */
void ed_holders_add (ed_holders *h, ed_task *task, const void *what);

/* 'what' is given back. */
void ed_holders_remove (ed_holders *h, const void *what);

/* One of them is given back, nobody knows which: that of 'task', if there is one, else any. */
void ed_holders_remove_any (ed_holders *h, const ed_task *task);

/* The object is collected. */
void ed_holders_finalize (ed_holders *h);

/* ", held by NAME, NAME and 3 others", or nothing, at the end of 'text'. */
void ed_holders_describe (const ed_holders *h, char *text, size_t room);

#endif
