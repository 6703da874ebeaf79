/* SPDX-License-Identifier: MIT */
/*
** What nobody waits for is told to config.on_error: failures, errors in the clean-up of killed tasks,
** warnings. Exactly once each; nothing here raises.
*/
#ifndef ED_REPORT_H
#define ED_REPORT_H

#include "core/task.h"

/* The task failed and nobody can be told. */
void ed_report_failure (ed_task *task);

/* The same by the reference of a task that has ended, at the top of 'co' (popped). */
void ed_report_ended (ed_loop *loop, lua_State *co);

/* The clean-up of a killed task raised what is at the top of 'co' (popped). */
void ed_report_clean_up (ed_task *task, lua_State *co);

/* Something about a task that lives, by an error object. */
void ed_report_warning (
  lua_State *L, ed_task *task, const char *kind, const char *code, const char *text);

/* It keeps swallowing its cancellation. */
void ed_report_swallowed (lua_State *L, ed_task *task);

void ed_open_report (lua_State *L, int box);

#endif
