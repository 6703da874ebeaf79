/* SPDX-License-Identifier: MIT */
/*
** A future: one place for values, or an error, that will be there later. Set once, by anybody;
** read any number of times, by any number of tasks. In the open for those who wait for several
** things at once.
*/
#ifndef ED_FUTURE_H
#define ED_FUTURE_H

#include "core/loop.h"
#include "sync/values.h"

typedef struct ed_future {
  ed_link waiters; /* ed_waiter */
  uint8_t shape;   /* ed_shape of what it holds */
  bool is_set;     /* also after 'fail' */
  bool has_failed; /* what it holds is an error */
} ed_future;

#endif
