/* SPDX-License-Identifier: MIT */
/*
** The engine half of streams; stream_lua.c has the methods. All of it runs without Lua.
**
** Writing goes to the socket by sendmsg with MSG_NOSIGNAL first; only a rest is copied and
** left to libuv, whose queue then keeps the order. The copy belongs to the write itself, so a
** waiter may leave: a message that was begun is sent whole.
*/
#include "io/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: libuv sets SO_NOSIGPIPE on its sockets */
#endif

enum { ADOPT_SIZE = ED_READ_ROOM / 4 }; /* reads from this size on are not copied */

/* What libuv still has to send. */
typedef struct rest {
  uv_write_t req;
  ed_stream *stream;
  ed_op *op;   /* NULL: nobody waits (a filter's own words) */
  ed_buf data; /* a block of its own */
} rest;

typedef struct shutting {
  uv_shutdown_t req;
  ed_stream *stream;
  ed_op *op; /* of the last one who asked */
} shutting;

/* ---- life ---- */

static void drop_stream (ed_handle *handle) {
  ed_stream *stream = (ed_stream *)handle;
  ed_mem *mem = &handle->loop->mem;
  if (stream->filter != NULL) stream->filter->drop(stream);
  ed_buf_free(&stream->in, mem);
  ed_stream_set_target(stream, NULL);
  ed_mem_free(mem, stream, sizeof *stream);
}

static void answer_reader (ed_stream *stream, int status) {
  ed_op *op = stream->reader;
  if (op == NULL) return;
  stream->reader = NULL;
  ed_op_complete(op, status);
}

static void close_stream (ed_handle *handle) {
  ed_stream *stream = (ed_stream *)handle;
  stream->is_reading = false;
  if (stream->ended == 0) stream->ended = UV_ECANCELED;
  answer_reader(stream, UV_ECANCELED);
  if (stream->filter != NULL) stream->filter->closing(stream);
}

static void describe_stream (const ed_handle *handle, char *text, size_t room) {
  const char *target = ((const ed_stream *)handle)->target;
  snprintf(text, room, "stream %s", target != NULL ? target : "?");
}

ed_stream *ed_stream_new (ed_loop *loop) {
  ed_stream *stream = ed_loop_calloc(loop, sizeof *stream);
  if (stream == NULL) return NULL;
  ed_handle_init(&stream->handle, loop, close_stream, drop_stream);
  stream->handle.describe = describe_stream;
  return stream;
}

void ed_stream_set_target (ed_stream *stream, const char *target) {
  ed_mem *mem = &stream->handle.loop->mem;
  size_t size = target != NULL ? strlen(target) + 1 : 0;
  if (stream->target != NULL)
    ed_mem_free(mem, stream->target, strlen(stream->target) + 1);
  stream->target = size > 0 ? ed_mem_new(mem, size) : NULL;
  if (stream->target != NULL) memcpy(stream->target, target, size);
}

bool ed_stream_is_closed (const ed_stream *stream) { return stream->handle.is_closing; }

/* ---- reading ---- */

static void stop_reading (ed_stream *stream) {
  uv_read_stop(&stream->handle.uv.stream);
  stream->is_reading = false;
}

static size_t high_water (const ed_stream *stream) {
  return stream->reader != NULL && stream->high > ED_STREAM_HIGH ? stream->high
                                                                 : ED_STREAM_HIGH;
}

/*
** How much is read to its place at once: there is room for it where a reader that waits for much
** has made some, or where much had to be kept.
*/
static size_t own_room (const ed_stream *stream) {
  const ed_buf *in = &stream->in;
  size_t high = high_water(stream), room = ed_buf_free_room(in);
  if (in->room <= ED_READ_ROOM || stream->filter != NULL || in->size >= high) return 0;
  return room < high - in->size ? room : high - in->size;
}

static void on_alloc (uv_handle_t *uv, size_t suggested, uv_buf_t *buf) {
  ed_stream *stream = uv->data;
  (void)suggested;
  buf->len = own_room(stream);
  if (buf->len > 0) buf->base = ed_buf_bytes(&stream->in) + stream->in.size;
  else {
    buf->base = ed_loop_borrow_buffer(stream->handle.loop);
    buf->len = buf->base != NULL ? ED_READ_ROOM : 0;
  }
}

/* Much data in an empty stream stays where it is: the stream keeps the read buffer itself. */
static bool keep_buffer (ed_stream *stream, size_t n, char *buffer) {
  if (stream->in.size > 0 || n < ADOPT_SIZE) return false;
  ed_buf_free(&stream->in, &stream->handle.loop->mem);
  stream->in.block = buffer;
  stream->in.room = ED_READ_ROOM;
  stream->in.size = n;
  return true;
}

/*
** libuv takes a hang-up behind the last bytes for a clean end, also after a reset. The socket
** knows better, and what was cut off must not look whole.
*/
static int end_status (ed_stream *stream) {
  uv_os_fd_t fd;
  char byte;
  if (uv_fileno(&stream->handle.uv.any, &fd) < 0) return UV_EOF;
  if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) return UV_EOF;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return UV_EOF;
  return uv_translate_sys_error(errno);
}

void ed_stream_take_bytes (ed_stream *stream, char *buffer, size_t n) {
  ed_loop *loop = stream->handle.loop;
  if (keep_buffer(stream, n, buffer)) return;
  if (!ed_buf_append(&stream->in, &loop->mem, buffer, n)) stream->ended = UV_ENOMEM;
  ed_loop_return_buffer(loop, buffer);
}

/* Did on_alloc hand out the stream's own room? */
static bool is_own (const ed_stream *stream, const char *buffer) {
  const ed_buf *in = &stream->in;
  return in->room > ED_READ_ROOM && buffer == in->block + in->start + in->size;
}

static void return_buffer (ed_stream *stream, char *buffer) {
  if (!is_own(stream, buffer)) ed_loop_return_buffer(stream->handle.loop, buffer);
}

static void take_arrival (ed_stream *stream, ssize_t n, char *buffer) {
  if (n == UV_EOF) n = end_status(stream);
  if (n > 0 && is_own(stream, buffer)) {
    ed_buf_commit(&stream->in, (size_t)n);
    return;
  }
  if (stream->filter == NULL && n > 0) {
    ed_stream_take_bytes(stream, buffer, (size_t)n);
    return;
  }
  if (stream->filter != NULL) stream->filter->feed(stream, buffer, n);
  else stream->ended = (int)n;
  return_buffer(stream, buffer);
}

void ed_stream_consume (ed_stream *stream, size_t n) {
  ed_loop *loop = stream->handle.loop;
  ed_buf *in = &stream->in;
  if (n < in->size || in->room != ED_READ_ROOM) {
    ed_buf_consume(in, &loop->mem, n);
    return;
  }
  ed_loop_return_buffer(loop, in->block);
  *in = (ed_buf){NULL, 0, 0, 0};
}

static void on_read (uv_stream_t *uv, ssize_t n, const uv_buf_t *buf) {
  ed_stream *stream = uv->data;
  ed_op *op;
  if (n == 0) {
    return_buffer(stream, buf->base);
    return;
  }
  stream->handle.loop->progress++;
  take_arrival(stream, n, buf->base);
  op = stream->reader;
  if (op != NULL && stream->want(stream, op)) {
    answer_reader(stream, op->status);
    if (stream->ended == 0)
      return; /* it will be taken: not worth two calls of the system */
  }
  if (stream->is_reading && (stream->ended != 0 || stream->in.size > high_water(stream)))
    stop_reading(stream);
}

static int start_reading (ed_stream *stream) {
  int status;
  if (stream->is_reading) return 0;
  status = uv_read_start(&stream->handle.uv.stream, on_alloc, on_read);
  stream->is_reading = status == 0;
  return status;
}

int ed_stream_read_raw (ed_stream *stream) { return start_reading(stream); }

void ed_stream_resume (ed_stream *stream) {
  if (stream->is_reading || stream->ended != 0 || ed_stream_is_closed(stream)) return;
  if (stream->in.size < ED_STREAM_HIGH) start_reading(stream);
}

bool ed_stream_is_idle (ed_stream *stream) {
  if (ed_stream_is_closed(stream) || stream->ended != 0 || stream->in.size > 0)
    return false;
  ed_stream_resume(stream);
  return stream->reader == NULL && stream->taker == NULL && stream->writer == NULL;
}

size_t ed_stream_unsent (const ed_stream *stream) {
  if (ed_stream_is_closed(stream)) return 0;
  return uv_stream_get_write_queue_size(&stream->handle.uv.stream);
}

int ed_stream_start_read (ed_stream *stream, ed_op *op, ed_want want, size_t high) {
  int status;
  if (ed_stream_is_closed(stream)) return UV_ECANCELED;
  if (stream->reader != NULL || (stream->taker != NULL && stream->taker != op))
    return UV_EBUSY;
  if (want(stream, op)) {
    ed_op_done(op, op->status);
    return 0;
  }
  stream->high = high;
  if ((status = start_reading(stream)) < 0) return status;
  stream->reader = op;
  stream->want = want;
  return 0;
}

ed_verdict ed_stream_stop_read (ed_stream *stream, ed_op *op) {
  if (stream->reader == op) stream->reader = NULL;
  ed_op_release(op);
  return ED_STOPPED;
}

/* ---- writing ---- */

void ed_stream_begin_next (ed_stream *stream) {
  ed_op *op = stream->next_writer;
  int started;
  if (op == NULL || stream->writer != NULL) return;
  stream->next_writer = NULL;
  started = ed_stream_start_write(stream, op, &stream->next, 1);
  if (started < 0) ed_op_complete(op, started);
}

static void free_rest (rest *r) {
  ed_mem *mem = &r->stream->handle.loop->mem;
  ed_buf_free(&r->data, mem);
  ed_mem_free(mem, r, sizeof *r);
}

static void on_write (uv_write_t *req, int status) {
  rest *r = req->data;
  ed_stream *stream = r->stream;
  ed_op *op = r->op;
  stream->handle.loop->nwrites--;
  free_rest(r);
  if (op == NULL) return;
  if (stream->writer == op) stream->writer = NULL;
  ed_op_complete(op, status);
  ed_stream_begin_next(stream);
}

/* One piece is the usual case, and cheaper for the system than a list of one. */
static ssize_t send_pieces (int fd, uv_buf_t *piece, unsigned n) {
  struct msghdr message = {.msg_iov = (struct iovec *)piece, .msg_iovlen = n};
  if (n == 1) return send(fd, piece->base, piece->len, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t ed_stream_send_raw (ed_stream *stream, uv_buf_t *piece, unsigned n) {
  uv_os_fd_t fd;
  ssize_t sent;
  if (stream->handle.uv.stream.write_queue_size > 0) return 0;
  if (uv_fileno(&stream->handle.uv.any, &fd) < 0) return UV_EBADF;
  do { sent = send_pieces(fd, piece, n); } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return sent;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return 0;
  return uv_translate_sys_error(errno);
}

static size_t total_size (const uv_buf_t *piece, unsigned n) {
  size_t size = 0;
  for (unsigned i = 0; i < n; i++) size += piece[i].len;
  return size;
}

static void copy_rest (char *to, const uv_buf_t *piece, unsigned n, size_t skip) {
  for (unsigned i = 0; i < n; i++) {
    size_t here = skip < piece[i].len ? skip : piece[i].len;
    memcpy(to, piece[i].base + here, piece[i].len - here);
    to += piece[i].len - here;
    skip -= here;
  }
}

int ed_stream_queue_raw (ed_stream *stream, ed_op *op, ed_buf *data) {
  ed_loop *loop = stream->handle.loop;
  rest *r = ed_mem_new(&loop->mem, sizeof *r);
  uv_buf_t bytes = {.base = ed_buf_bytes(data), .len = data->size};
  ed_pipe_guard guard;
  int status;
  if (r == NULL) {
    ed_buf_free(data, &loop->mem);
    return UV_ENOMEM;
  }
  r->stream = stream;
  r->op = op;
  r->data = *data;
  r->req.data = r;
  *data = (ed_buf){NULL, 0, 0, 0};
  guard = ed_pipe_guard_begin();
  status = uv_write(&r->req, &stream->handle.uv.stream, &bytes, 1, on_write);
  ed_pipe_guard_end(guard);
  if (status < 0) {
    free_rest(r);
    return status;
  }
  loop->nwrites++;
  if (op != NULL) stream->writer = op;
  return 0;
}

static int queue_rest (
  ed_stream *stream, ed_op *op, const uv_buf_t *piece, unsigned n, size_t sent) {
  ed_buf data = {NULL, 0, 0, 0};
  size_t size = total_size(piece, n) - sent;
  char *to = ed_buf_reserve(&data, &stream->handle.loop->mem, size);
  if (to == NULL) return UV_ENOMEM;
  copy_rest(to, piece, n, sent);
  ed_buf_commit(&data, size);
  return ed_stream_queue_raw(stream, op, &data);
}

bool ed_stream_write_now (ed_stream *stream, uv_buf_t *piece, unsigned n) {
  ssize_t sent;
  if (stream->writer != NULL || stream->next_writer != NULL || stream->filter != NULL
    || stream->is_shut || ed_stream_is_closed(stream))
    return false;
  if ((sent = ed_stream_send_raw(stream, piece, n)) < 0) return false;
  for (unsigned i = 0; i < n; i++) {
    size_t here = (size_t)sent < piece[i].len ? (size_t)sent : piece[i].len;
    piece[i].base += here;
    piece[i].len -= here;
    sent -= (ssize_t)here;
  }
  return n == 0 || piece[n - 1].len == 0;
}

int ed_stream_start_write (ed_stream *stream, ed_op *op, uv_buf_t *piece, unsigned n) {
  ssize_t sent;
  if (ed_stream_is_closed(stream)) return UV_ECANCELED;
  if (stream->writer != NULL && stream->writer->task != NULL) return UV_EBUSY;
  if (stream->next_writer != NULL) return UV_EBUSY;
  if (stream->is_shut) return UV_EPIPE;
  if (stream->filter != NULL) return stream->filter->write(stream, op, piece, n);
  if ((sent = ed_stream_send_raw(stream, piece, n)) < 0) return (int)sent;
  if ((size_t)sent < total_size(piece, n))
    return queue_rest(stream, op, piece, n, (size_t)sent);
  ed_op_complete(op, 0);
  return 0;
}

int ed_stream_start_next_write (ed_stream *stream, ed_op *op, uv_buf_t piece) {
  bool must_wait = stream->writer != NULL && stream->writer->task == NULL
    && stream->next_writer == NULL && !stream->is_shut && !ed_stream_is_closed(stream);
  if (!must_wait) return ed_stream_start_write(stream, op, &piece, 1);
  stream->next_writer = op;
  stream->next = piece;
  return 0;
}

ed_verdict ed_stream_stop_write (ed_stream *stream, ed_op *op) {
  if (stream->next_writer != op) return ED_DETACHED;
  stream->next_writer = NULL;
  ed_op_release(op);
  return ED_STOPPED;
}

/* ---- the end of writing ---- */

static void on_shutdown (uv_shutdown_t *req, int status) {
  shutting *s = req->data;
  ed_op *op = s->op;
  s->stream->shutting = NULL;
  ed_mem_free(&s->stream->handle.loop->mem, s, sizeof *s);
  ed_op_complete(op, status == UV_ENOTCONN ? 0 : status);
}

int ed_stream_shut_raw (ed_stream *stream, ed_op *op) {
  shutting *s = ed_loop_calloc(stream->handle.loop, sizeof *s);
  int status;
  if (s == NULL) return UV_ENOMEM;
  s->req.data = s;
  s->stream = stream;
  s->op = op;
  status = uv_shutdown(&s->req, &stream->handle.uv.stream, on_shutdown);
  if (status < 0) {
    ed_mem_free(&stream->handle.loop->mem, s, sizeof *s);
    return status;
  }
  stream->is_shut = true;
  stream->shutting = s;
  return 0;
}

/* Wait for a shutdown whose waiter has left. */
static int join_shutdown (shutting *s, ed_op *op) {
  if (s->op->task != NULL) return UV_EBUSY;
  ed_op_release(s->op);
  s->op = op;
  return 0;
}

int ed_stream_start_shutdown (ed_stream *stream, ed_op *op) {
  if (ed_stream_is_closed(stream)) return UV_ECANCELED;
  if (stream->shutting != NULL) return join_shutdown(stream->shutting, op);
  if (stream->next_writer != NULL) return UV_EBUSY;
  if (stream->is_shut) {
    ed_op_complete(op, 0);
    return 0;
  }
  if (stream->filter != NULL) return stream->filter->shutdown(stream, op);
  return ed_stream_shut_raw(stream, op);
}
