/* SPDX-License-Identifier: MIT */
/*
** echo_client.c CONNECTIONS SIZE SERVER…: starts the echo server, keeps CONNECTIONS
** messages of SIZE bytes going round for SECONDS after a warm-up, and prints the server's
** CPU microseconds a round trip, round trips a second, and MB/s (10^6 bytes that came
** back). Then it ends the server.
*/
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>
#include "child.h"

#define WARM_UP 0.3
#define SECONDS 1.0

typedef struct conn {
  uv_tcp_t handle;
  uv_connect_t connect;
  uv_write_t write;
  size_t got;
} conn;

static struct {
  pid_t server;
  size_t size;
  char *message;
  uv_timer_t timer;
  long trips, trips_before;
  double cpu_before;
  uint64_t began;
  char buffer[256 * 1024];
} all;

static void give_up (const char *what, int status) {
  fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
  child_end(all.server);
  exit(1);
}

static void on_written (uv_write_t *unused, int status) {
  (void)unused;
  if (status < 0) give_up("write", status);
}

static void send_message (conn *c) {
  uv_stream_t *stream = (uv_stream_t *)&c->handle;
  uv_buf_t buf = uv_buf_init(all.message, (unsigned)all.size);
  int done = uv_try_write(stream, &buf, 1);
  if (done < 0 && done != UV_EAGAIN) give_up("write", done);
  if (done == (int)all.size) return;
  buf.base += done > 0 ? done : 0;
  buf.len -= (size_t)(done > 0 ? done : 0);
  uv_write(&c->write, stream, &buf, 1, on_written);
}

static void on_room (uv_handle_t *unused, size_t wanted, uv_buf_t *buf) {
  (void)unused, (void)wanted;
  *buf = uv_buf_init(all.buffer, sizeof all.buffer);
}

static void on_read (uv_stream_t *stream, ssize_t size, const uv_buf_t *unused) {
  conn *c = (conn *)stream;
  (void)unused;
  if (size < 0) give_up("read", (int)size);
  c->got += (size_t)size;
  if (c->got < all.size) return;
  if (c->got > all.size) give_up("more came back than was sent", UV_EPROTO);
  c->got = 0;
  all.trips++;
  send_message(c);
}

static void on_connected (uv_connect_t *req, int status) {
  conn *c = (conn *)req->handle;
  if (status < 0) give_up("connect", status);
  uv_tcp_nodelay(&c->handle, 1);
  uv_read_start((uv_stream_t *)&c->handle, on_room, on_read);
  send_message(c);
}

static void start_conn (int port) {
  conn *c = calloc(1, sizeof *c);
  struct sockaddr_in address;
  uv_ip4_addr("127.0.0.1", port, &address);
  uv_tcp_init(uv_default_loop(), &c->handle);
  uv_tcp_connect(&c->connect, &c->handle, (struct sockaddr *)&address, on_connected);
}

static void finish (uv_timer_t *unused) {
  double seconds = (double)(uv_hrtime() - all.began) * 1e-9;
  double cpu = child_cpu_seconds(all.server) - all.cpu_before;
  double trips = (double)(all.trips - all.trips_before);
  (void)unused;
  if (trips == 0) give_up("no round trip", UV_ETIMEDOUT);
  printf("%.3f %.0f %.1f\n", all.cpu_before < 0 ? -1 : cpu / trips * 1e6, trips / seconds,
    trips * (double)all.size / seconds * 1e-6);
  child_end(all.server);
  exit(0);
}

static void begin (uv_timer_t *timer) {
  all.trips_before = all.trips;
  all.cpu_before = child_cpu_seconds(all.server);
  all.began = uv_hrtime();
  uv_timer_start(timer, finish, (uint64_t)(SECONDS * 1e3), 0);
}

int main (int argc, char **argv) {
  int port;
  if (argc < 4) return 2;
  alarm(CHILD_SECONDS);
  all.size = (size_t)atol(argv[2]);
  all.message = calloc(1, all.size);
  all.server = child_serve(argv + 3, &port);
  for (int i = atoi(argv[1]); i > 0; i--) start_conn(port);
  uv_timer_init(uv_default_loop(), &all.timer);
  uv_timer_start(&all.timer, begin, (uint64_t)(WARM_UP * 1e3), 0);
  return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
