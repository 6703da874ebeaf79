/* SPDX-License-Identifier: MIT */
/*
** What csrc/eddy.c opens under eddy.core.
*/
#include "io/io.h"

#include <stddef.h>

#include "io/console.h"
#include "io/file.h"
#include "io/http_message.h"
#include "io/net.h"
#include "io/offload.h"
#include "io/signal.h"
#include "io/tls.h"

const ed_io_module ed_io_modules[] = {
  {"net", ed_open_net},
#ifndef EDDY_NO_TLS
  {"tls", ed_open_tls},
#endif
#ifndef EDDY_NO_HTTP
  {"http", ed_open_http},
  {"file", ed_open_file},
#endif
  {"signal", ed_open_signal},
  {"console", ed_open_console},
  {"offload", ed_open_offload},
  {NULL, NULL},
};
