/* SPDX-License-Identifier: MIT */
/*
** The methods of streams. Every read is one operation with its own idea of being satisfied;
** bytes leave the stream's buffer in 'finish', after the string exists.
**
** Between the answer and 'finish' other tasks may run. The stream belongs to the read until
** then ('taker'), so that nobody takes the bytes that it was woken for.
*/
#include <stdio.h>
#include <string.h>

#include "core/class.h"
#include "core/error.h"
#include "io/addr.h"
#include "io/stream.h"

typedef struct stream_box {
  ed_stream *stream;
} stream_box;

typedef struct reading {
  ed_op op; /* first */
  ed_stream *stream;
  size_t n;         /* bytes wanted, or the limit */
  size_t seen;      /* searched so far */
  const char *mark; /* delimiter: a string on the waiter's stack */
  size_t mark_len;
  bool is_taker; /* stream->taker is this one */
} reading;

typedef struct writing {
  ed_op op; /* first */
  ed_stream *stream;
} writing;

enum { UNTIL_MAX = 65536, LINE_MAX_BYTES = 1048576 };

/* ---- engine half ---- */

static bool want_some (ed_stream *stream, ed_op *op) {
  (void)op;
  return stream->in.size > 0 || stream->ended != 0;
}

static bool want_exactly (ed_stream *stream, ed_op *op) {
  return stream->in.size >= ((reading *)op)->n || stream->ended != 0;
}

static bool want_mark (ed_stream *stream, ed_op *op) {
  reading *r = (reading *)op;
  long at = ed_buf_find(&stream->in, r->seen, r->mark, r->mark_len);
  if (at >= 0) {
    r->seen = (size_t)at;
    if (r->seen + r->mark_len > r->n) op->status = UV_EMSGSIZE;
    return true;
  }
  r->seen = stream->in.size >= r->mark_len ? stream->in.size - r->mark_len + 1 : 0;
  if (stream->in.size >= r->n) op->status = UV_EMSGSIZE;
  return op->status != 0 || stream->ended != 0;
}

static bool want_end (ed_stream *stream, ed_op *op) {
  if (stream->in.size > ((reading *)op)->n) op->status = UV_EMSGSIZE;
  return op->status != 0 || stream->ended != 0;
}

/* The stream is free for the next read. */
static ed_stream *leave_stream (ed_op *op) {
  reading *r = (reading *)op;
  if (r->is_taker) r->stream->taker = NULL;
  r->is_taker = false;
  return r->stream;
}

static void drop_read (ed_op *op) {
  leave_stream(op);
  ed_op_free(op);
}

static ed_verdict cancel_read (ed_op *op) {
  return ed_stream_stop_read(((reading *)op)->stream, op);
}

static ed_verdict cancel_write (ed_op *op) {
  return ed_stream_stop_write(((writing *)op)->stream, op);
}

static void describe (const ed_op *op, char *text, size_t room) {
  const ed_stream *stream =
    ((const writing *)op)->stream; /* the same place in 'reading' */
  snprintf(text, room, "%s", stream->target != NULL ? stream->target : "");
}

/* ---- Lua half: what a read returns ---- */

static void take (ed_stream *stream, size_t n) {
  ed_stream_consume(stream, n);
  ed_stream_resume(stream);
}

int ed_stream_push_error (lua_State *L, ed_stream *stream, int status, const char *op) {
  if (status == ED_EFILTER) return stream->filter->push_error(L, stream, op);
  return ed_error_uv(L, status, op, stream->target);
}

/* The status of an operation: 'reading' and 'writing' have their stream in the same place. */
static int push_failure (lua_State *L, ed_op *op) {
  return ed_stream_push_error(L, ((writing *)op)->stream, op->status, op->type->name);
}

static int push_bytes (lua_State *L, ed_stream *stream, size_t n) {
  lua_pushlstring(L, n > 0 ? ed_buf_bytes(&stream->in) : "", n);
  take(stream, n);
  return 1;
}

/* The stream is over: nil at a clean end, else nil and the error. */
static int push_end (lua_State *L, ed_stream *stream, const ed_op *op) {
  if (stream->ended != UV_EOF)
    return ed_stream_push_error(L, stream, stream->ended, op->type->name);
  lua_pushnil(L);
  return 1;
}

/* The end came too early: what there was is in err.partial. */
static int push_partial (lua_State *L, ed_stream *stream, const ed_op *op) {
  ed_stream_push_error(L, stream, stream->ended, op->type->name);
  push_bytes(L, stream, stream->in.size);
  lua_setfield(L, -2, "partial");
  return 2;
}

static int finish_some (lua_State *L, ed_op *op) {
  ed_stream *stream = leave_stream(op);
  size_t size = stream->in.size, n = ((reading *)op)->n;
  if (size == 0) return push_end(L, stream, op);
  return push_bytes(L, stream, size < n ? size : n);
}

static int finish_exactly (lua_State *L, ed_op *op) {
  ed_stream *stream = leave_stream(op);
  size_t n = ((reading *)op)->n;
  return stream->in.size < n ? push_partial(L, stream, op) : push_bytes(L, stream, n);
}

/* Is the delimiter at 'seen'? */
static bool has_mark (const reading *r) {
  const ed_buf *in = &r->stream->in;
  return r->seen + r->mark_len <= in->size
    && memcmp(ed_buf_bytes(in) + r->seen, r->mark, r->mark_len) == 0;
}

static int finish_until (lua_State *L, ed_op *op) {
  reading *r = (reading *)op;
  ed_stream *stream = leave_stream(op);
  if (has_mark(r)) return push_bytes(L, stream, r->seen + r->mark_len);
  return stream->in.size == 0 ? push_end(L, stream, op) : push_partial(L, stream, op);
}

static int finish_line (lua_State *L, ed_op *op) {
  reading *r = (reading *)op;
  ed_stream *stream = leave_stream(op);
  ed_buf *in = &stream->in;
  bool ends = has_mark(r);
  size_t len = ends ? r->seen : in->size;
  if (!ends && (len == 0 || stream->ended != UV_EOF)) return push_end(L, stream, op);
  if (ends && len > 0 && ed_buf_bytes(in)[len - 1] == '\r') len--;
  lua_pushlstring(L, ed_buf_bytes(in), len);
  take(stream, ends ? r->seen + 1 : in->size);
  return 1;
}

static int finish_all (lua_State *L, ed_op *op) {
  ed_stream *stream = leave_stream(op);
  if (stream->ended != UV_EOF) return push_partial(L, stream, op);
  return push_bytes(L, stream, stream->in.size);
}

#define READ_TYPE(text, how) \
  { \
    .name = text, .finish = how, .cancel = cancel_read, .drop = drop_read, \
    .describe = describe, .fail = push_failure \
  }

static const ed_optype some_type = READ_TYPE("read", finish_some);
static const ed_optype exactly_type = READ_TYPE("read_exactly", finish_exactly);
static const ed_optype until_type = READ_TYPE("read_until", finish_until);
static const ed_optype line_type = READ_TYPE("lines", finish_line);
static const ed_optype all_type = READ_TYPE("read_all", finish_all);

static const ed_optype write_type = {
  .name = "write",
  .finish = ed_finish_true,
  .cancel = cancel_write,
  .drop = ed_drop_plain,
  .describe = describe,
  .fail = push_failure,
};

static const ed_optype shutdown_type = {
  .name = "shutdown",
  .finish = ed_finish_true,
  .cancel = cancel_write,
  .drop = ed_drop_plain,
  .describe = describe,
  .fail = push_failure,
};

/* ---- boxes ---- */

ed_stream *ed_stream_check (lua_State *L, int arg) {
  stream_box *box = ed_class_check(L, ed_loop_of(L), arg, ED_CLASS_STREAM);
  luaL_argcheck(L, box->stream != NULL, arg, "stream was collected");
  return box->stream;
}

void ed_stream_box (lua_State *L, ed_stream *stream) {
  stream_box *box = ed_class_push(
    L, stream->handle.loop, ED_CLASS_STREAM, sizeof *box, 0);
  box->stream = stream;
}

/* ---- reading ---- */

static reading *new_read (
  lua_State *L, const ed_optype *type, ed_stream *stream, size_t n) {
  reading *r = ed_op_new(L, type, sizeof *r);
  r->stream = stream;
  r->n = n;
  return r;
}

static int await_read (lua_State *L, reading *r, ed_want want, size_t high) {
  ed_stream *stream = r->stream;
  if (stream->taker == NULL && stream->reader == NULL) {
    stream->taker = &r->op;
    r->is_taker = true;
  }
  return ed_await(L, &r->op, ed_stream_start_read(stream, &r->op, want, high));
}

static size_t check_size (lua_State *L, int arg, lua_Integer otherwise) {
  lua_Integer n = luaL_optinteger(L, arg, otherwise);
  luaL_argcheck(L, n > 0, arg, "must be above 0");
  return (size_t)n;
}

/*
** stream:read([n]) --> 1..n bytes | nil at the end | nil, err
** Awaits data. Cancelling loses nothing: what arrives stays for the next read.
*/
static int l_stream_read (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  size_t n = check_size(L, 2, ED_STREAM_HIGH);
  return await_read(L, new_read(L, &some_type, stream, n), want_some, 0);
}

/*
** stream:read_exactly(n) --> n bytes | nil, err (code EOF, err.partial)
** Awaits all of them. Cancelling loses nothing.
*/
static int l_stream_read_exactly (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 0, 2, "must not be negative");
  return await_read(
    L, new_read(L, &exactly_type, stream, (size_t)n), want_exactly, (size_t)n);
}

static int read_mark (
  lua_State *L, const ed_optype *type, ed_stream *stream, size_t max) {
  reading *r = new_read(L, type, stream, max);
  r->mark = lua_tolstring(L, 2, &r->mark_len);
  return await_read(L, r, want_mark, max);
}

/*
** stream:read_until(delimiter [, max]) --> bytes with the delimiter | nil | nil, err
** Awaits. 'max' (65536) bytes without a delimiter are EMSGSIZE; an end in between is EOF with
** err.partial. Cancelling loses nothing.
*/
static int l_stream_read_until (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  size_t max = check_size(L, 3, UNTIL_MAX);
  luaL_argcheck(L, lua_type(L, 2) == LUA_TSTRING && lua_rawlen(L, 2) > 0, 2,
    "a string that is not empty expected");
  return read_mark(L, &until_type, stream, max);
}

/*
** stream:read_line() --> line without its end | nil | nil, err
** Awaits. What 'lines' is made of; limit 1 MiB.
*/
static int l_stream_read_line (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  lua_settop(L, 1);
  lua_pushliteral(L, "\n");
  return read_mark(L, &line_type, stream, LINE_MAX_BYTES);
}

/*
** stream:read_all([max]) --> everything up to the end | nil, err
** Awaits the end. More than 'max' (64 MiB) bytes are EMSGSIZE.
*/
static int l_stream_read_all (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  size_t max = check_size(L, 2, 64 * 1048576);
  return await_read(L, new_read(L, &all_type, stream, max), want_end, max + 1);
}

/* ---- writing ---- */

/*
** stream:write(...) --> true | nil, err
** Joins its arguments (strings, numbers). Awaits until the system has taken everything.
** Cancelling stops the waiting only: what was begun is sent whole.
*/
static int l_stream_write (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  int n = lua_gettop(L);
  writing *w;
  uv_buf_t piece;
  size_t len = 0;
  for (int i = 2; i <= n; i++) luaL_checklstring(L, i, NULL);
  if (n > 2) lua_concat(L, n - 1);
  if (n < 2) lua_pushliteral(L, "");
  w = ed_op_new(L, &write_type, sizeof *w);
  w->stream = stream;
  piece.base = (char *)lua_tolstring(L, 2, &len);
  piece.len = len;
  return ed_await(L, &w->op, ed_stream_start_next_write(stream, &w->op, piece));
}

/*
** stream:shutdown() --> true | nil, err
** Awaits until everything written is sent, then tells the peer that no more will come.
*/
static int l_stream_shutdown (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  writing *w = ed_op_new(L, &shutdown_type, sizeof *w);
  w->stream = stream;
  return ed_await(L, &w->op, ed_stream_start_shutdown(stream, &w->op));
}

/* ---- the rest ---- */

/*
** stream:close()
** Never waits, never fails, can be repeated; wakes who reads or writes with code ECLOSED.
*/
static int l_stream_close (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  stream_box *box;
  if (loop == NULL) return 0; /* the runtime has closed it */
  box = ed_class_check(L, loop, 1, ED_CLASS_STREAM);
  if (box->stream != NULL) ed_handle_close(&box->stream->handle);
  return 0;
}

static int l_stream_gc (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  stream_box *box = loop != NULL ? ed_class_test(L, loop, 1, ED_CLASS_STREAM) : NULL;
  if (box == NULL || box->stream == NULL) return 0;
  if (box->stream->taker != NULL)
    leave_stream(box->stream->taker); /* its 'finish' had raised */
  ed_handle_unbox(&box->stream->handle);
  box->stream = NULL;
  return 0;
}

static int l_stream_is_closed (lua_State *L) {
  lua_pushboolean(L, ed_stream_is_closed(ed_stream_check(L, 1)));
  return 1;
}

/*
** stream:is_idle() --> boolean
** Open, and nothing has come since the last read: fit for another exchange.
*/
static int l_stream_is_idle (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  lua_pushboolean(L, ed_stream_is_idle(stream));
  return 1;
}

typedef struct asking {
  const char *op;
  int (*tcp)(const uv_tcp_t *, struct sockaddr *, int *);
  int (*pipe)(const uv_pipe_t *, char *, size_t *);
} asking;

static int push_address (lua_State *L, ed_stream *stream, const asking *ask) {
  struct sockaddr_storage addr;
  int len = sizeof addr;
  int status = ask->tcp(&stream->handle.uv.tcp, (struct sockaddr *)&addr, &len);
  if (status < 0) return ed_error_uv(L, status, ask->op, stream->target);
  return ed_addr_push(L, &addr);
}

static int push_path (lua_State *L, ed_stream *stream, const asking *ask) {
  char path[128] = ""; /* libuv looks at the first byte, also when there is no path */
  size_t len = sizeof path;
  int status = ask->pipe(&stream->handle.uv.pipe, path, &len);
  if (status < 0) return ed_error_uv(L, status, ask->op, stream->target);
  lua_pushlstring(L, path, len);
  return 1;
}

static int push_name (lua_State *L, const asking *ask) {
  ed_stream *stream = ed_stream_check(L, 1);
  if (ed_stream_is_closed(stream))
    return ed_error_uv(L, UV_ECANCELED, ask->op, stream->target);
  if (stream->handle.uv.any.type == UV_TCP) return push_address(L, stream, ask);
  return push_path(L, stream, ask);
}

/*
** stream:peername() --> host, port | path | nil, err
** The other side; of a Unix socket its path, "" if it has none.
*/
static int l_stream_peername (lua_State *L) {
  static const asking ask = {"peername", uv_tcp_getpeername, uv_pipe_getpeername};
  return push_name(L, &ask);
}

/*
** stream:sockname() --> host, port | path | nil, err
** Our own side.
*/
static int l_stream_sockname (lua_State *L) {
  static const asking ask = {"sockname", uv_tcp_getsockname, uv_pipe_getsockname};
  return push_name(L, &ask);
}

static int l_stream_tostring (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  lua_pushfstring(L, "eddy.Stream %s%s", stream->target != NULL ? stream->target : "",
    ed_stream_is_closed(stream) ? " (closed)" : "");
  return 1;
}

static const luaL_Reg methods[] = {
  {"read", l_stream_read},
  {"read_exactly", l_stream_read_exactly},
  {"read_until", l_stream_read_until},
  {"read_line", l_stream_read_line},
  {"read_all", l_stream_read_all},
  {"write", l_stream_write},
  {"shutdown", l_stream_shutdown},
  {"close", l_stream_close},
  {"is_closed", l_stream_is_closed},
  {"is_idle", l_stream_is_idle},
  {"peername", l_stream_peername},
  {"sockname", l_stream_sockname},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__close", l_stream_close},
  {"__gc", l_stream_gc},
  {"__tostring", l_stream_tostring},
  {NULL, NULL},
};

void ed_open_stream (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_STREAM, "eddy.Stream", methods, meta, box);
}
