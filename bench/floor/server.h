/* SPDX-License-Identifier: MIT */
/*
** server.h: what both servers in C share: listening on a free port of the loopback, one
** read buffer for all connections, and a write that tries at once and keeps only what is
** left over. While something is left over, the connection is not read.
*/
#ifndef SERVER_H
#define SERVER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

typedef struct rest {
  uv_write_t req;
  char bytes[];
} rest;

static char shared_buffer[64 * 1024];

static inline void on_room (uv_handle_t *unused, size_t wanted, uv_buf_t *buf) {
  (void)unused, (void)wanted;
  *buf = uv_buf_init(shared_buffer, sizeof shared_buffer);
}

static inline void on_closed (uv_handle_t *handle) { free(handle); }

static inline void drop_conn (uv_stream_t *conn) {
  if (!uv_is_closing((uv_handle_t *)conn)) uv_close((uv_handle_t *)conn, on_closed);
}

/* The one thing that a server defines. */
static void on_read (uv_stream_t *conn, ssize_t size, const uv_buf_t *buf);

static inline void on_written (uv_write_t *req, int status) {
  uv_stream_t *conn = req->handle;
  free(req->data);
  if (status < 0) drop_conn(conn);
  else uv_read_start(conn, on_room, on_read);
}

static inline void write_rest (uv_stream_t *conn, const char *bytes, size_t size) {
  rest *r = malloc(sizeof *r + size);
  uv_buf_t buf = uv_buf_init(r->bytes, (unsigned)size);
  memcpy(r->bytes, bytes, size);
  r->req.data = r;
  uv_read_stop(conn);
  if (uv_write(&r->req, conn, &buf, 1, on_written) < 0) {
    free(r);
    drop_conn(conn);
  }
}

static inline void write_bytes (uv_stream_t *conn, const char *bytes, size_t size) {
  uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)size);
  int done = uv_try_write(conn, &buf, 1);
  if (done < 0 && done != UV_EAGAIN) drop_conn(conn);
  else if (done < (int)size)
    write_rest(conn, bytes + (done > 0 ? done : 0), size - (size_t)(done > 0 ? done : 0));
}

/* `extra` bytes of a connection's own, zeroed, lie behind its handle. */
static inline void accept_conn (uv_stream_t *server, size_t extra) {
  uv_tcp_t *conn = calloc(1, sizeof *conn + extra);
  uv_tcp_init(server->loop, conn);
  uv_accept(server, (uv_stream_t *)conn);
  uv_tcp_nodelay(conn, 1);
  uv_read_start((uv_stream_t *)conn, on_room, on_read);
}

/* Listens, prints the port and serves until it is ended from outside. */
static inline int serve (uv_connection_cb on_conn) {
  uv_tcp_t server;
  struct sockaddr_in address;
  int size = sizeof address;
  uv_tcp_init(uv_default_loop(), &server);
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_bind(&server, (struct sockaddr *)&address, 0);
  if (uv_listen((uv_stream_t *)&server, 512, on_conn) != 0) return 1;
  uv_tcp_getsockname(&server, (struct sockaddr *)&address, &size);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

#endif
