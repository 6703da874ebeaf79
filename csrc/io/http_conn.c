/* SPDX-License-Identifier: MIT */
/*
** One connection of the server: READING -> QUEUED -> BUSY -> SENDING -> READING ..., or LINGER
** and the end. All of it runs in libuv's callbacks, in the sweep, or inside the handler's last
** call, and never touches Lua.
**
** A connection always has one standing read on its stream ('watch'). While it is READING that
** assembles the next request; while a handler runs it notices that the peer has gone, which
** cancels the handler, and feeds a handler that reads the body in pieces. What was pipelined
** stays in the stream's buffer until the answer is out, so answers keep the order.
*/
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "io/http_server.h"
#include "io/tls.h"

typedef struct sending {
  ed_op op;           /* first */
  ed_http_conn *conn; /* NULL: it has gone */
  bool is_last;
} sending;

/* ---- Times ---- */

static uint64_t now_of (const ed_http_conn *conn) {
  return ed_loop_now(conn->server->loop);
}

static void enter (ed_http_conn *conn, ed_http_state state) {
  conn->state = (uint8_t)state;
  conn->since = conn->server->loop->now;
  conn->stuck = 0;
}

/* ---- Sending without a task ---- */

static void on_sent (ed_http_conn *conn);

static void drop_sending (ed_op *op) {
  sending *s = (sending *)op;
  ed_http_conn *conn = s->conn;
  bool is_last = s->is_last, has_failed = op->status < 0;
  ed_mem_free(&op->loop->mem, s, sizeof *s);
  if (conn == NULL) return;
  if (is_last) conn->sending = NULL;
  if (has_failed) ed_http_conn_close(conn);
  else if (is_last) on_sent(conn);
}

static ed_verdict cancel_sending (ed_op *op) {
  (void)op;
  return ED_DETACHED;
}

static const ed_optype sending_type = {
  .name = "http answer",
  .cancel = cancel_sending,
  .drop = drop_sending,
};

static sending *new_sending (ed_http_conn *conn, bool is_last) {
  ed_loop *loop = conn->server->loop;
  sending *s = ed_mem_new(&loop->mem, sizeof *s);
  if (s == NULL) return NULL;
  memset(s, 0, sizeof *s);
  ed_op_launch(loop, &sending_type, &s->op);
  s->is_last = is_last;
  if (is_last) {
    s->conn = conn;
    conn->sending = s;
  }
  return s;
}

/* Nothing was started for 's': it goes without a word. */
static void discard_sending (ed_http_conn *conn, sending *s) {
  if (conn->sending == s) conn->sending = NULL;
  s->conn = NULL;
  ed_op_release(&s->op);
}

int ed_http_conn_send (ed_http_conn *conn, uv_buf_t *piece, unsigned n, bool is_last) {
  sending *s = new_sending(conn, is_last);
  int status;
  if (s == NULL) return UV_ENOMEM;
  status = ed_stream_start_write(conn->stream, &s->op, piece, n);
  if (status < 0) discard_sending(conn, s);
  return status;
}

/* ---- The end ---- */

static void wake_piece (ed_http_conn *conn, int status) {
  ed_op *op = conn->piece;
  if (op == NULL) return;
  conn->piece = NULL;
  conn->waited += now_of(conn) - conn->asked;
  ed_op_complete(op, status);
}

static void let_task_go (ed_http_conn *conn) {
  wake_piece(conn, UV_ECANCELED); /* while its operation can still be told */
  if (conn->box != NULL) conn->box->conn = NULL;
  conn->box = NULL;
  if (conn->task == NULL) return;
  ed_list_remove(&conn->ended.link);
  conn->task = NULL;
  conn->server->nbusy--;
}

void ed_http_conn_detach (ed_http_conn *conn) { let_task_go(conn); }

/* The struct without its stream. */
static void free_conn (ed_http_conn *conn) {
  ed_http_server *server = conn->server;
  ed_mem *mem = &server->loop->mem;
  let_task_go(conn);
  if (conn->sending != NULL) conn->sending->conn = NULL;
  if (conn->slot > 0) server->spare[server->nspare++] = conn->slot;
  ed_list_remove(&conn->link);
  ed_list_remove(&conn->queued);
  ed_buf_free(&conn->out, mem);
  ed_mem_free(mem, conn, sizeof *conn);
  if (--server->nconns == 0 && server->is_stopping)
    ed_http_server_wake(&server->dispatcher);
}

static void unwatch (ed_http_conn *conn) {
  if (!conn->is_watching) return;
  conn->is_watching = false;
  ed_stream_stop_read(conn->stream, &conn->watch);
}

void ed_http_conn_close (ed_http_conn *conn) {
  ed_stream *stream = conn->stream;
  ed_task *task = conn->task;
  if (conn->state == ED_CONN_DEAD) return;
  conn->state = ED_CONN_DEAD;
  unwatch(conn);
  free_conn(conn);
  ed_handle_unbox(&stream->handle);
  if (task != NULL) ed_task_cancel(task, ED_BY_USER);
}

ed_stream *ed_http_conn_release (ed_http_conn *conn) {
  ed_stream *stream = conn->stream;
  conn->state = ED_CONN_DEAD;
  unwatch(conn);
  free_conn(conn);
  return stream;
}

/* ---- The standing read ---- */

static void say_continue (ed_http_conn *conn) {
  static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
  uv_buf_t piece = uv_buf_init(text, sizeof text - 1);
  conn->message.expects = false;
  ed_http_conn_send(conn, &piece, 1, false);
}

static bool want_whole (ed_http_conn *conn) {
  ed_http_message *m = &conn->message;
  if (!ed_http_read_on(m, conn->stream)) return false;
  if (m->refused != 0 || m->failed != 0 || m->phase == ED_HTTP_DONE || m->head_only)
    return true;
  say_continue(conn);
  return ed_http_read_on(m, conn->stream);
}

/* The handler runs: only the peer's end is news, or a piece of the body. */
static bool want_news (ed_http_conn *conn) {
  if (conn->piece != NULL && ed_http_read_piece(&conn->message, conn->stream))
    wake_piece(conn, 0);
  return conn->stream->ended != 0;
}

static bool want_end (ed_http_conn *conn) {
  ed_stream_consume(conn->stream, conn->stream->in.size);
  return conn->stream->ended != 0;
}

static bool want (ed_stream *stream, ed_op *op) {
  ed_http_conn *conn = ED_OF(op, ed_http_conn, watch);
  (void)stream;
  switch ((ed_http_state)conn->state) {
    case ED_CONN_READING: return want_whole(conn);
    case ED_CONN_LINGER: return want_end(conn);
    default: return want_news(conn);
  }
}

static void queue_request (ed_http_conn *conn) {
  ed_http_server *server = conn->server;
  enter(conn, ED_CONN_QUEUED);
  server->counts.requests++;
  conn->served++;
  ed_list_append(&server->queue, &conn->queued);
  ed_http_server_wake(&server->dispatcher);
}

static int status_of (const ed_http_message *m) {
  if (m->refused == ED_HTTP_EBODY) return 413;
  if (m->refused == ED_HTTP_EEXPECT) return 417;
  return ed_http1_error_status(m->refused);
}

static void on_request (ed_http_conn *conn) {
  const ed_http_message *m = &conn->message;
  if (m->refused != 0) ed_http_conn_refuse(conn, status_of(m));
  else if (m->failed != 0) ed_http_conn_close(conn);
  else queue_request(conn);
}

/*
** The peer has gone while its handler runs. One that has only ended its own side looks the same,
** so a request that is not yet begun is still served; a handler that waits is cancelled.
*/
static void on_peer_gone (ed_http_conn *conn) {
  if (conn->state == ED_CONN_BUSY) {
    conn->server->counts.aborted++;
    ed_http_conn_close(conn);
  } else if (conn->stream->ended != UV_EOF) ed_http_conn_close(conn);
}

/* 'watch' was answered, given up, or its stream was closed by somebody else. */
static void drop_watch (ed_op *op) {
  ed_http_conn *conn = ED_OF(op, ed_http_conn, watch);
  if (!conn->is_watching) return; /* given up by ourselves */
  conn->is_watching = false;
  if (ed_stream_is_closed(conn->stream)) ed_http_conn_close(conn);
  else if (conn->state == ED_CONN_READING) on_request(conn);
  else if (conn->state == ED_CONN_LINGER) ed_http_conn_close(conn);
  else on_peer_gone(conn);
}

static const ed_optype watch_type = {
  .name = "http connection",
  .cancel = cancel_sending,
  .drop = drop_watch,
};

/* Begin the standing read for the present state. 'conn' may be gone after. */
static void watch (ed_http_conn *conn) {
  size_t high = conn->state == ED_CONN_READING ? SIZE_MAX : 0;
  int status;
  ed_op_launch(conn->server->loop, &watch_type, &conn->watch);
  conn->is_watching = true;
  status = ed_stream_start_read(conn->stream, &conn->watch, want, high);
  if (status == 0 && !conn->watch.done) {
    if (high == 0) ed_stream_resume(conn->stream);
    return;
  }
  if (status < 0) conn->is_watching = false;
  ed_op_release(&conn->watch); /* acts on it: drop_watch */
  if (status < 0) ed_http_conn_close(conn);
}

/* ---- Life ---- */

static void next_request (ed_http_conn *conn) {
  ed_http_server *server = conn->server;
  ed_http_message *m = &conn->message;
  conn->has_begun = conn->closes = false;
  conn->is_counted = conn->is_chunked = conn->is_head = false;
  conn->waited = 0;
  ed_http_start(m, server->loop, true, server->limits.max_body);
  m->limits = &server->limits.head;
  m->chunk_limits = &server->limits.chunked;
  m->head_only = server->limits.is_streaming;
  enter(conn, ED_CONN_READING);
  watch(conn);
}

bool ed_http_conn_open (ed_http_server *server, ed_stream *stream) {
  ed_http_conn *conn = ed_loop_calloc(server->loop, sizeof *conn);
  if (conn == NULL) return false;
  conn->server = server;
  conn->stream = stream;
  ed_list_init(&conn->queued);
  ed_list_init(&conn->ended.link);
  ed_list_append(&server->conns, &conn->link);
  if (server->nconns++ == 0) ed_http_server_wake(&server->watcher);
  server->loop->now = ed_loop_now(server->loop);
  next_request(conn);
  return true;
}

/* Did the peer send what nobody has read? Closing at once could take our answer from it. */
static bool has_unread (const ed_http_conn *conn) {
  const ed_http_message *m = &conn->message;
  return m->phase != ED_HTTP_DONE || m->refused != 0 || conn->stream->in.size > 0;
}

/*
** Everything that we had to say is with the system: tell the peer, and let it read that where
** its own bytes are in the way.
*/
static void linger (ed_http_conn *conn) {
  bool has_to_wait = has_unread(conn);
  sending *s = new_sending(conn, !has_to_wait); /* then its answer is the end: on_sent */
  enter(conn, ED_CONN_LINGER);
  if (s == NULL) {
    ed_http_conn_close(conn);
    return;
  }
  if (ed_stream_start_shutdown(conn->stream, &s->op) < 0) {
    discard_sending(conn, s);
    ed_http_conn_close(conn);
    return;
  }
  if (has_to_wait) watch(conn);
}

static void on_sent (ed_http_conn *conn) {
  ed_http_server *server = conn->server;
  unwatch(conn);
  if (conn->state == ED_CONN_LINGER) {
    ed_http_conn_close(conn);
    return;
  }
  if (conn->closes || server->is_stopping) linger(conn);
  else next_request(conn);
}

void ed_http_conn_finish (ed_http_conn *conn, uv_buf_t *piece, unsigned n) {
  int status;
  let_task_go(conn);
  if (conn->message.phase != ED_HTTP_DONE || !conn->message.keep_alive)
    conn->closes = true;
  conn->server->counts.responses++;
  enter(conn, ED_CONN_SENDING);
  if (ed_stream_write_now(conn->stream, piece, n)) {
    on_sent(conn);
    return;
  }
  status = ed_http_conn_send(conn, piece, n, true);
  if (status < 0) ed_http_conn_close(conn);
}

/* ---- Answers of our own ---- */

void ed_http_conn_refuse (ed_http_conn *conn, int status) {
  char head[ED_HTTP_HEAD_ROOM], text[2 * ED_HTTP_HEAD_ROOM];
  const char *why = ed_http_reason(status);
  uv_buf_t piece[2];
  size_t size = ed_http_head_begin(conn->server, head, status);
  int n = snprintf(text, sizeof text,
    "Content-Type: text/plain\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s\n",
    strlen(why) + 1, conn->is_head ? "" : why);
  piece[0] = uv_buf_init(head, (unsigned)size);
  piece[1] = uv_buf_init(text, (unsigned)(conn->is_head ? n - 1 : n));
  conn->closes = true;
  conn->server->counts.rejected++;
  if (conn->state == ED_CONN_READING) ed_http_refused_note(conn, status);
  ed_http_conn_finish(conn, piece, 2);
}

/* The task has ended without an answer: it was cancelled or killed. */
static void on_handler_ended (ed_watch *ended, ed_task *task) {
  ed_http_conn *conn = ED_OF(ended, ed_http_conn, ended);
  (void)task;
  if (conn->has_begun) ed_http_conn_close(conn); /* half an answer cannot be repaired */
  else ed_http_conn_refuse(conn, conn->server->is_stopping ? 503 : 500);
}

void ed_http_conn_start (ed_http_conn *conn, ed_http_conn_box *box, ed_task *task) {
  const ed_http_message *m = &conn->message;
  const char *bytes = ed_buf_bytes(&conn->stream->in);
  conn->is_head = m->method.len == 4 && memcmp(bytes + m->method.at, "HEAD", 4) == 0;
  ed_http_take_whole(&conn->message, conn->stream);
  box->conn = conn;
  conn->box = box;
  ed_list_remove(&conn->queued);
  enter(conn, ED_CONN_BUSY);
  conn->server->nbusy++;
  conn->task = task;
  conn->ended.ended = on_handler_ended;
  ed_list_append(&task->watchers, &conn->ended.link);
}

void ed_http_conn_watch (ed_http_conn *conn) {
  if (conn->state == ED_CONN_BUSY && !conn->is_watching && conn->stream->ended == 0)
    watch(conn);
}

/* ---- Times ---- */

static uint64_t age (uint64_t since, uint64_t now) {
  return now > since ? now - since : 0;
}

static void refuse_late (ed_http_conn *conn, int status) {
  conn->server->counts.timed_out++;
  ed_http_conn_refuse(conn, status);
}

/* Has so much time brought too few bytes? */
static bool is_slow (const ed_http_conn *conn, uint64_t waited, uint64_t bytes) {
  const ed_http_limits *limits = &conn->server->limits;
  if (waited <= limits->body_grace) return false;
  return bytes < (waited - limits->body_grace) / 1000000 * limits->min_rate / 1000;
}

/* Nothing can be said to a peer that has not shaken hands. */
static void sweep_shaking (ed_http_conn *conn, uint64_t now) {
  if (age(conn->since, now) <= conn->server->limits.handshake) return;
  conn->server->counts.timed_out++;
  ed_http_conn_close(conn);
}

static void sweep_reading (ed_http_conn *conn, uint64_t now) {
  const ed_http_limits *limits = &conn->server->limits;
  const ed_http_message *m = &conn->message;
  if (m->phase == ED_HTTP_BODY) {
    if (is_slow(conn, age(m->first, now), conn->stream->in.size)) refuse_late(conn, 408);
  } else if (m->began > 0) {
    if (age(m->began, now) > limits->header) refuse_late(conn, 408);
  } else if (ed_tls_is_shaking(conn->stream)) sweep_shaking(conn, now);
  else if (age(conn->since, now) > limits->idle) ed_http_conn_close(conn);
}

/* Does the peer take nothing of what we send? */
static bool is_stuck (ed_http_conn *conn, uint64_t now) {
  size_t unsent = conn->stream->handle.uv.stream.write_queue_size;
  if (unsent == 0) conn->stuck = 0;
  else if (conn->stuck == 0 || unsent != conn->unsent) conn->stuck = now;
  conn->unsent = unsent;
  return unsent > 0 && age(conn->stuck, now) > conn->server->limits.write;
}

static void stop_late_handler (ed_http_conn *conn) {
  ed_task *task = conn->task;
  refuse_late(conn, 504);
  ed_task_cancel(task, ED_BY_TIMEOUT);
}

static void sweep_busy (ed_http_conn *conn, uint64_t now) {
  const ed_http_message *m = &conn->message;
  uint64_t waited = conn->waited;
  if (conn->piece != NULL) waited += age(conn->asked, now);
  if (conn->piece != NULL && is_slow(conn, waited, m->body_len))
    wake_piece(conn, UV_ETIMEDOUT);
  else if (!conn->has_begun
    && age(conn->since + waited, now) > conn->server->limits.handler)
    stop_late_handler(conn);
}

void ed_http_conn_sweep (ed_http_conn *conn, uint64_t now) {
  const ed_http_limits *limits = &conn->server->limits;
  if (is_stuck(conn, now)) {
    conn->server->counts.timed_out++;
    ed_http_conn_close(conn);
  } else if (conn->state == ED_CONN_READING) sweep_reading(conn, now);
  else if (conn->state == ED_CONN_BUSY) sweep_busy(conn, now);
  else if (conn->state == ED_CONN_LINGER && age(conn->since, now) > limits->linger)
    ed_http_conn_close(conn);
}

bool ed_http_conn_is_idle (ed_http_conn *conn) {
  uv_os_fd_t fd;
  char byte;
  if (conn->state != ED_CONN_READING || conn->stream->in.size > 0) return false;
  if (conn->served == 0 && age(conn->since, now_of(conn)) < 1000000000) return false;
  if (uv_fileno(&conn->stream->handle.uv.any, &fd) < 0) return true;
  return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}
