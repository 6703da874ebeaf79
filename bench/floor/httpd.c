/* SPDX-License-Identifier: MIT */
/*
** httpd.c [BYTES]: the origin for HTTP clients. Every request without a body gets the same
** reply, small or of so many bytes, and the connection stays. A request ends with an empty line; nothing else in it
** is looked at.
*/
#include "server.h"

static char *reply;
static size_t reply_size;

/* A reply with a body of so many bytes. */
static int make_reply (size_t size) {
  if ((reply = malloc(size + 256)) == NULL) return 0;
  reply_size = (size_t)sprintf(reply,
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", size);
  for (size_t i = 0; i < size; i++) reply[reply_size++] = "Hello, world\n"[i % 13];
  return 1;
}

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
    write_bytes(conn, reply, reply_size);
}

static void on_conn (uv_stream_t *server, int status) {
  if (status == 0) accept_conn(server, 1);
}

int main (int argc, char **argv) {
  return make_reply(argc > 1 ? strtoul(argv[1], NULL, 10) : 13) ? serve(on_conn) : 1;
}
