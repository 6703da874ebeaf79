/* SPDX-License-Identifier: MIT */
/*
** What csrc/eddy.c opens under eddy.core.
*/
#include "io/io.h"

#include <stddef.h>

#include "io/signal.h"

const ed_io_module ed_io_modules[] = {
  {"signal", ed_open_signal},
  {NULL, NULL},
};
