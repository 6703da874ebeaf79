/* SPDX-License-Identifier: MIT */
/*
** echo.c: sends back what it reads. Prints its port first.
*/
#include "server.h"

static void on_read (uv_stream_t *conn, ssize_t size, const uv_buf_t *buf) {
  if (size < 0) drop_conn(conn);
  else if (size > 0) write_bytes(conn, buf->base, (size_t)size);
}

static void on_conn (uv_stream_t *server, int status) {
  if (status == 0) accept_conn(server, 0);
}

int main (void) { return serve(on_conn); }
