/* SPDX-License-Identifier: MIT */
/*
** The client's half of HTTP/1.1: one exchange is one wait. The request is handed to the socket,
** usually whole and at once; what the socket does not take is sent beside the exchange, which
** does not wait for it: an answer that comes before the upload has ended wins. The answer is
** put together in the read callback, so that the task is woken once, with everything there.
**
** Owns nothing: stream and message belong to the caller's connection. A connection whose
** exchange was cancelled is closed here, one whose exchange failed must be closed by the
** caller; neither can carry another one.
*/
#include "io/http_message.h"

#include <string.h>

#include "core/class.h"
#include "core/error.h"
#include "core/push.h"

static const char message_name[] = "eddy.http.message";

enum { MUST_CLOSE = 8 }; /* beside ED_HTTP1_HAS_... */

typedef struct exchange {
  ed_op op; /* first */
  ed_stream *stream;
  ed_http_message *message;
  int sent;      /* UV_E code of the request's write, or 0 */
  size_t wanted; /* reading in pieces: at most so many bytes */
  bool is_kept;  /* the connection was, and will be: its stream is set aside behind it */
} exchange;

/* ---- Engine half ---- */

static bool want_response (ed_stream *stream, ed_op *op) {
  return ed_http_read_on(((exchange *)op)->message, stream);
}

static bool want_piece (ed_stream *stream, ed_op *op) {
  return ed_http_read_piece(((exchange *)op)->message, stream);
}

static ed_verdict cancel_exchange (ed_op *op) {
  exchange *x = (exchange *)op;
  ed_stream *stream = x->stream;
  if (stream->writer != NULL && x->message->began == 0) x->message->phase = ED_HTTP_WRITE;
  ed_stream_stop_read(stream, op);
  ed_handle_close(&stream->handle);
  return ED_STOPPED;
}

static void describe_exchange (const ed_op *op, char *text, size_t room) {
  const ed_stream *stream = ((const exchange *)op)->stream;
  snprintf(text, room, "%s", stream->target != NULL ? stream->target : "");
}

/* An upload goes on by itself, also when its exchange is over: the stream has its own copy. */
static ed_verdict cancel_upload (ed_op *op) {
  (void)op;
  return ED_DETACHED;
}

/* ---- Lua half ---- */

static const ed_optype upload_type = {
  .name = "write",
  .finish = ed_finish_true,
  .cancel = cancel_upload,
  .drop = ed_drop_plain,
};

/* Send the strings at 3 and 4; returns 0 or a UV_E code. */
static int send_request (lua_State *L, ed_task *task, ed_stream *stream) {
  size_t n = 0;
  uv_buf_t piece[2];
  ed_op *op;
  int status;
  piece[0].base = (char *)lua_tolstring(L, 3, &n);
  piece[0].len = n;
  piece[1].base = (char *)lua_tolstring(L, 4, &n);
  piece[1].len = piece[1].base != NULL ? n : 0;
  if (ed_stream_write_now(stream, piece, piece[1].len > 0 ? 2 : 1)) return 0;
  op = ed_op_new_for(L, task, &upload_type, sizeof *op);
  status = ed_stream_start_write(stream, op, piece, piece[1].len > 0 ? 2 : 1);
  if (status < 0) ed_op_abandon(task);
  else {
    if (op->done) status = op->status;
    ed_op_detach(op);
  }
  return status;
}

/*
** An answer beats a failed write: a server that refuses an upload answers and closes. Only when
** nothing came is the write's failure the better story.
*/
static int push_failed_exchange (lua_State *L, exchange *x) {
  ed_http_message *m = x->message;
  int n = 2;
  if (x->sent < 0 && m->began == 0) ed_stream_push_error(L, x->stream, x->sent, "write");
  else n = ed_http_push_error(L, m, x->stream);
  lua_pushboolean(L, m->began == 0);
  return n + 1;
}

static void push_seconds (lua_State *L, uint64_t ns) {
  lua_pushnumber(L, (lua_Number)ns / 1e9);
}

/* Trailers as they came are fields without a first line: http.fields wants one. */
static void push_trailers (lua_State *L, const char *bytes, size_t len) {
  lua_pushliteral(L, "\r\n");
  lua_pushlstring(L, bytes, len);
  lua_pushliteral(L, "\r\n");
  lua_concat(L, 3);
}

static bool is_reusable (const ed_http_message *m, const ed_stream *stream) {
  return m->phase == ED_HTTP_DONE && m->keep_alive && stream->in.size == 0
    && stream->ended == 0 && stream->writer == NULL && !ed_stream_is_closed(stream);
}

/*
** What becomes of the connection: may it carry another exchange? For http.fetch a number of what
** is to be looked at besides; 0 says that there is nothing, and that it was set aside.
*/
static void push_prospect (lua_State *L, const exchange *x) {
  const ed_http_message *m = x->message;
  if (!x->is_kept) lua_pushboolean(L, m->phase == ED_HTTP_DONE && m->keep_alive);
  else if (!is_reusable(m, x->stream)) lua_pushinteger(L, m->mentions | MUST_CLOSE);
  else {
    x->stream->handle.is_spare = true;
    lua_pushinteger(L, m->mentions);
  }
}

static int finish_exchange (lua_State *L, ed_op *op) {
  exchange *x = (exchange *)op;
  ed_http_message *m = x->message;
  ed_stream *stream = x->stream;
  const char *bytes = ed_buf_bytes(&stream->in);
  bool has_trailers;
  if (m->refused != 0 || m->failed != 0) return push_failed_exchange(L, x);
  lua_pushinteger(L, m->status);
  lua_pushlstring(L, bytes, m->head_len);
  if (m->head_only) lua_pushnil(L);
  else lua_pushlstring(L, bytes + m->head_len, m->body_len);
  has_trailers = m->trailers_len > 0;
  if (has_trailers) push_trailers(L, bytes + m->head_len + m->body_len, m->trailers_len);
  ed_http_take_whole(m, stream);
  if (stream->writer != NULL || x->sent < 0) m->keep_alive = false;
  push_prospect(L, x);
  push_seconds(L, m->first);
  push_seconds(L, m->heard);
  if (has_trailers) lua_rotate(L, -4, -1); /* behind the other three */
  return 6 + has_trailers;
}

static const ed_optype exchange_type = {
  .name = "http",
  .finish = finish_exchange,
  .cancel = cancel_exchange,
  .drop = ed_drop_plain,
  .describe = describe_exchange,
};

static uint64_t opt_size (lua_State *L, int arg) {
  lua_Number n = luaL_optnumber(L, arg, -1);
  luaL_argcheck(L, n == n, arg, "not a number");
  return n < 0 || n >= 9e18 ? UINT64_MAX : (uint64_t)n;
}

static ed_http1_asked asked_by (const char *method) {
  static const char *const head = "HEAD";
  int i = 0;
  while (i < 4 && method[i] == head[i]) i++;
  return i == 4 && method[4] == ' ' ? ED_HTTP1_ASKED_HEAD : ED_HTTP1_ASKED;
}

/* The arguments are at 3 to 7. */
static int run_exchange (
  lua_State *L, ed_stream *stream, ed_http_message *m, bool is_kept) {
  const char *head = luaL_checkstring(L, 3);
  uint64_t max_body = opt_size(L, 5);
  ed_task *task;
  exchange *x;
  int sent;
  luaL_optstring(L, 4, NULL);
  task = ed_checkpoint(L);
  if (is_kept) stream->handle.is_spare = false;
  m->asked = (uint8_t)asked_by(head);
  ed_http_start(m, task->loop, false, max_body);
  m->head_only = lua_toboolean(L, 6);
  sent = lua_toboolean(L, 7) ? 0 : send_request(L, task, stream);
  if (sent == UV_EBUSY || ed_stream_is_closed(stream))
    return ed_stream_push_error(L, stream, sent < 0 ? sent : UV_ECANCELED, "write");
  x = ed_op_new_for(L, task, &exchange_type, sizeof *x);
  x->stream = stream;
  x->message = m;
  x->sent = sent;
  x->is_kept = is_kept;
  return ed_await(
    L, &x->op, ed_stream_start_read(stream, &x->op, want_response, SIZE_MAX));
}

/*
** http.exchange(stream, message, head [, body [, max_body [, head_only [, is_sent]]]])
**   --> status, head, body, keep_alive, first_byte, heard, trailers | nil, err, nothing_came
** 'is_sent': somebody else writes the request. 'trailers' is nil, or text for http.fields.
** Send a request and get its answer. 'body' of the answer is nil with 'head_only': read on with
** http.read_body. 'keep_alive': the connection may carry another exchange. Times are those of
** eddy.now.
** Awaits. Cancelling closes the stream.
*/
static int l_exchange (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  ed_http_message *m = ed_http_check(L, 2);
  lua_settop(L, 7);
  return run_exchange(L, stream, m, false);
}

/* The same by comparing pointers: the metatable is our second upvalue. */
static ed_http_message *check_message (lua_State *L, int arg) {
  bool is_one = lua_getmetatable(L, arg)
    && lua_topointer(L, -1) == lua_touserdata(L, lua_upvalueindex(2));
  if (!is_one) return ed_http_check(L, arg);
  lua_pop(L, 1);
  return lua_touserdata(L, arg);
}

/*
** http.fetch(stream, message, head [, body [, max_body]])
**   --> status, head, body, prospect, first_byte, heard, trailers | nil, err, nothing_came | false
** An exchange over a kept connection, which is taken for it and set aside again behind it
** (net.spare). False: the connection is not fit, nothing was sent. 'prospect' is 0, or bits that say
** what is to be done: 1 Content-Encoding, 2 Set-Cookie, 4 Keep-Alive was there; 8: close it.
** Awaits. Cancelling closes the stream.
*/
static int l_fetch (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  ed_http_message *m = check_message(L, 2);
  lua_settop(L, 5);
  lua_settop(L, 7);
  if (!ed_stream_is_idle(stream)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  return run_exchange(L, stream, m, true);
}

static int finish_piece (lua_State *L, ed_op *op) {
  exchange *x = (exchange *)op;
  ed_http_message *m = x->message;
  size_t n = m->ready < x->wanted ? m->ready : x->wanted;
  if (m->refused != 0 || m->failed != 0) return ed_http_push_error(L, m, x->stream);
  if (n == 0) {
    lua_pushnil(L);
    if (m->trailers_len == 0) return 1;
    lua_pushnil(L);
    push_trailers(L, ed_buf_bytes(&x->stream->in), m->trailers_len);
    ed_http_take_trailers(m, x->stream);
    return 3;
  }
  lua_pushlstring(L, ed_buf_bytes(&x->stream->in), n);
  ed_http_take(m, x->stream, n);
  return 1;
}

static const ed_optype piece_type = {
  .name = "body",
  .finish = finish_piece,
  .cancel = cancel_exchange,
  .drop = ed_drop_plain,
  .describe = describe_exchange,
};

/*
** http.read_body(stream, message [, n]) --> bytes | nil, nil, trailers | nil, err
** The next piece of a body that is read in pieces: 1 to 'n' bytes; nil at its end.
** Awaits. Cancelling closes the stream.
*/
static int l_read_body (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  ed_http_message *m = ed_http_check(L, 2);
  uint64_t wanted = opt_size(L, 3);
  exchange *x;
  luaL_argcheck(L, wanted > 0, 3, "must be above 0");
  luaL_argcheck(L, m->head_only && m->phase >= ED_HTTP_BODY, 2, "no body to read");
  x = ed_op_new(L, &piece_type, sizeof *x);
  x->stream = stream;
  x->message = m;
  x->wanted = wanted > SIZE_MAX ? SIZE_MAX : (size_t)wanted;
  return ed_await(L, &x->op, ed_stream_start_read(stream, &x->op, want_piece, 0));
}

/* ---- Messages ---- */

ed_http_message *ed_http_check (lua_State *L, int arg) {
  return luaL_checkudata(L, arg, message_name);
}

/* http.message() --> message: what a connection needs to read one after another. */
static int l_message (lua_State *L) {
  ed_http_message *m = lua_newuserdatauv(L, sizeof *m, 0);
  memset(m, 0, sizeof *m);
  luaL_setmetatable(L, message_name);
  return 1;
}

/* message:phase() --> "idle" | "write" | "head" | "body" | "done" */
static int l_message_phase (lua_State *L) {
  static const char *const names[] = {"idle", "write", "head", "body", "done"};
  lua_pushstring(L, names[ed_http_check(L, 1)->phase]);
  return 1;
}

/* message:is_reusable(stream) --> boolean: read to its end, and another may follow it. */
static int l_message_is_reusable (lua_State *L) {
  ed_http_message *m = ed_http_check(L, 1);
  ed_stream *stream = ed_stream_check(L, 2);
  lua_pushboolean(L, is_reusable(m, stream));
  return 1;
}

/* message:has_begun() --> boolean: a part of it has come, but not all. */
static int l_message_has_begun (lua_State *L) {
  ed_http_message *m = ed_http_check(L, 1);
  bool is_open = m->phase == ED_HTTP_HEAD || m->phase == ED_HTTP_BODY;
  lua_pushboolean(L, is_open && m->began > 0);
  return 1;
}

static bool is_older (uint64_t since, uint64_t now, lua_Number seconds) {
  return since < now && (lua_Number)(now - since) / 1e9 > seconds;
}

/*
** message:is_overdue(idle, head, body) --> boolean
** Has the peer let us wait for longer than so many seconds: for a first byte, for the rest of
** a head, for the body behind it?
*/
static int l_message_is_overdue (lua_State *L) {
  ed_http_message *m = ed_http_check(L, 1);
  uint64_t now = ed_loop_now(ed_loop_of(L));
  bool is_late = false;
  if (m->phase == ED_HTTP_BODY) is_late = is_older(m->first, now, luaL_checknumber(L, 4));
  else if (m->phase == ED_HTTP_HEAD && m->began > 0)
    is_late = is_older(m->began, now, luaL_checknumber(L, 3));
  else if (m->phase == ED_HTTP_HEAD)
    is_late = is_older(m->started, now, luaL_checknumber(L, 2));
  lua_pushboolean(L, is_late);
  return 1;
}

/*
** message:quiet(stream) --> seconds, is_sending
** For how long has the peer neither sent anything nor taken anything of what we send? And is there
** something that it has not taken?
*/
static int l_message_quiet (lua_State *L) {
  ed_http_message *m = ed_http_check(L, 1);
  ed_stream *stream = ed_stream_check(L, 2);
  ed_loop *loop = ed_loop_of(L);
  uint64_t now = ed_loop_now(loop);
  size_t unsent = ed_stream_unsent(stream);
  if (unsent != m->unsent) m->heard = now;
  m->unsent = unsent;
  push_seconds(L, now > m->heard ? now - m->heard : 0);
  lua_pushboolean(L, unsent > 0);
  return 2;
}

/* ---- Heads ---- */

/*
** http.fields(head) --> {name1, value1, name2, value2 ...}
** The fields of a head that http.exchange or http.read_request has returned, in order, with
** the names in lower case.
*/
static int l_fields (lua_State *L) {
  ed_http1_field field[1000];
  size_t len;
  const char *head = luaL_checklstring(L, 1, &len);
  const char *lf = len >= 2 ? memchr(head, '\n', len - 2) : NULL;
  size_t at = lf != NULL ? (size_t)(lf - head) + 1 : len;
  long n = ed_http1_parse_fields(field, 1000, head + at, at < len ? len - 2 - at : 0);
  if (n < 0) return luaL_argerror(L, 1, "not a head");
  lua_createtable(L, (int)n * 2, 0);
  for (long i = 0; i < n; i++) {
    ed_push_lower(L, head + at + field[i].name.at, field[i].name.len);
    lua_rawseti(L, -2, i * 2 + 1);
    lua_pushlstring(L, head + at + field[i].value.at, field[i].value.len);
    lua_rawseti(L, -2, i * 2 + 2);
  }
  return 1;
}

/* http.is_token(text) --> boolean: may it be sent as a method or a field's name? */
static int l_is_token (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_pushboolean(L, ed_http1_is_token(text, len));
  return 1;
}

/* http.is_value(text) --> boolean: may it be sent as a field's value? */
static int l_is_value (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_pushboolean(L, ed_http1_is_value(text, len));
  return 1;
}

static const luaL_Reg functions[] = {
  {"exchange", l_exchange},
  {"read_body", l_read_body},
  {"message", l_message},
  {"fields", l_fields},
  {"is_token", l_is_token},
  {"is_value", l_is_value},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"phase", l_message_phase},
  {"is_reusable", l_message_is_reusable},
  {"has_begun", l_message_has_begun},
  {"is_overdue", l_message_is_overdue},
  {"quiet", l_message_quiet},
  {NULL, NULL},
};

/* Push the table of 'core.http'; 'box' is the index of the runtime's box. */
void ed_open_http (lua_State *L, int box) {
  const void *metatable;
  box = lua_absindex(L, box);
  luaL_newmetatable(L, message_name);
  metatable = lua_topointer(L, -1);
  lua_newtable(L);
  ed_setfuncs(L, methods, box);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
  lua_pushvalue(L, box);
  lua_pushlightuserdata(L, (void *)metatable);
  lua_pushcclosure(L, l_fetch, 2);
  lua_setfield(L, -2, "fetch");
  ed_open_http_server(L, box);
}
