/* SPDX-License-Identifier: MIT */
/*
** httpd.c: the origin for HTTP clients. Every request without a body gets the same small
** reply, and the connection stays. A request ends with an empty line; nothing else in it
** is looked at.
*/
#include "server.h"

static const char reply[] = "HTTP/1.1 200 OK\r\n"
                            "Content-Type: text/plain\r\n"
                            "Content-Length: 13\r\n"
                            "\r\n"
                            "Hello, world\n";

/* How far into "\r\n\r\n" the bytes so far have come; a byte behind the handle. */
static unsigned char *progress_of (uv_stream_t *conn) {
  return (unsigned char *)((uv_tcp_t *)conn + 1);
}

static int count_requests (unsigned char *progress, const char *bytes, ssize_t size) {
  int found = 0;
  for (ssize_t i = 0; i < size; i++) {
    if (bytes[i] == "\r\n\r\n"[*progress]) ++*progress;
    else *progress = bytes[i] == '\r';
    if (*progress == 4) found++, *progress = 0;
  }
  return found;
}

static void on_read (uv_stream_t *conn, ssize_t size, const uv_buf_t *buf) {
  if (size < 0) drop_conn(conn);
  if (size <= 0) return;
  for (int i = count_requests(progress_of(conn), buf->base, size); i > 0; i--)
    write_bytes(conn, reply, sizeof reply - 1);
}

static void on_conn (uv_stream_t *server, int status) {
  if (status == 0) accept_conn(server, 1);
}

int main (void) { return serve(on_conn); }
