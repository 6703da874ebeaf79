/* SPDX-License-Identifier: MIT */
/*
** The server's half of HTTP/1.1: one wait for one request, head and body, limited and checked.
** Requests that were pipelined lie in the stream's buffer until they are asked for, so that
** their answers keep the order; reading from the socket stops meanwhile (back-pressure).
**
** Owns nothing: stream and message belong to the caller's connection. Answers are written by
** Lua, with one write of the stream.
*/
#include "io/http_message.h"

#include <string.h>

#include "core/class.h"
#include "core/error.h"

typedef struct reading {
  ed_op op; /* first */
  ed_stream *stream;
  ed_http_message *message;
} reading;

/* ---- Engine half ---- */

static bool want_request (ed_stream *stream, ed_op *op) {
  return ed_http_read_on(((reading *)op)->message, stream);
}

static ed_verdict cancel_reading (ed_op *op) {
  reading *r = (reading *)op;
  ed_stream *stream = r->stream;
  ed_stream_stop_read(stream, op);
  ed_handle_close(&stream->handle);
  return ED_STOPPED;
}

static void describe_reading (const ed_op *op, char *text, size_t room) {
  const ed_stream *stream = ((const reading *)op)->stream;
  snprintf(text, room, "%s", stream->target != NULL ? stream->target : "");
}

/* ---- Lua half ---- */

/* Push path and query of a target that begins with a slash; the query may be nil. */
static void push_split (lua_State *L, const char *text, size_t len) {
  const char *mark = memchr(text, '?', len);
  size_t path = mark != NULL ? (size_t)(mark - text) : len;
  lua_pushlstring(L, text, path);
  if (mark == NULL) lua_pushnil(L);
  else lua_pushlstring(L, mark + 1, len - path - 1);
}

/* Push path and query of a target; what is no address is its own path. */
static void push_path (lua_State *L, const ed_http_message *m, const char *text) {
  ed_url url;
  size_t len = m->target.len;
  if (m->form == ED_HTTP1_ABSOLUTE && ed_url_parse(&url, text, len) == ED_URL_OK) {
    if (url.path.len == 0) lua_pushliteral(L, "/");
    else lua_pushlstring(L, text + url.path.at, url.path.len);
    if (url.query.at == 0) lua_pushnil(L);
    else lua_pushlstring(L, text + url.query.at, url.query.len);
  } else push_split(L, text, len);
}

/* The status to answer a refused request with. */
static int status_of (const ed_http_message *m) {
  if (m->refused == ED_HTTP_EBODY) return 413;
  return ed_http1_error_status(m->refused);
}

/* nil alone: the peer has ended between two requests. */
static int push_failed_reading (lua_State *L, const reading *r) {
  const ed_http_message *m = r->message;
  int n;
  if (m->failed == UV_EOF && m->began == 0) {
    lua_pushnil(L);
    return 1;
  }
  n = ed_http_push_error(L, m, r->stream);
  if (m->refused == 0) return n;
  lua_pushinteger(L, status_of(m));
  return n + 1;
}

static int finish_reading (lua_State *L, ed_op *op) {
  reading *r = (reading *)op;
  ed_http_message *m = r->message;
  const char *bytes = ed_buf_bytes(&r->stream->in);
  if (m->refused != 0 || m->failed != 0) return push_failed_reading(L, r);
  luaL_checkstack(L, 10, "request");
  lua_pushlstring(L, bytes + m->method.at, m->method.len);
  lua_pushlstring(L, bytes + m->target.at, m->target.len);
  push_path(L, m, bytes + m->target.at);
  lua_pushinteger(L, m->minor);
  lua_pushboolean(L, m->keep_alive);
  lua_pushlstring(L, bytes, m->head_len);
  if (m->phase != ED_HTTP_DONE) return 7; /* it expects a word before it goes on */
  lua_pushlstring(L, bytes + m->head_len, m->body_len);
  ed_http_take_whole(m, r->stream);
  return 8;
}

static const ed_optype reading_type = {
  .name = "http request",
  .finish = finish_reading,
  .cancel = cancel_reading,
  .drop = ed_drop_plain,
  .describe = describe_reading,
};

/*
** http.read_request(stream, message, max_body)
**   --> method, target, path, query, minor, keep_alive, head, body | nil | nil, err [, status]
** The next request of a connection; nil alone when the peer has ended before one. 'body' is nil
** when the peer waits to be told "100 Continue": tell it and call again, or answer and close.
** 'status' is what to answer a request that was refused. Path and query are still escaped.
** Awaits. Cancelling closes the stream.
*/
static int l_read_request (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  ed_http_message *m = ed_http_check(L, 2);
  lua_Integer max_body = luaL_checkinteger(L, 3);
  reading *r = ed_op_new(L, &reading_type, sizeof *r);
  if (m->phase == ED_HTTP_BODY && m->expects) m->expects = false;
  else ed_http_start(m, r->op.loop, true, max_body < 0 ? UINT64_MAX : (uint64_t)max_body);
  r->stream = stream;
  r->message = m;
  return ed_await(
    L, &r->op, ed_stream_start_read(stream, &r->op, want_request, SIZE_MAX));
}

/* http.chunk(bytes) --> bytes: as one chunk of the chunked coding. Empty bytes stay empty. */
static int l_chunk (lua_State *L) {
  char line[ED_CHUNK_LINE];
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  luaL_Buffer b;
  if (len == 0) return 1;
  luaL_buffinitsize(L, &b, len + ED_CHUNK_LINE + 2);
  luaL_addlstring(&b, line, ed_chunked_line(line, len));
  luaL_addlstring(&b, bytes, len);
  luaL_addlstring(&b, "\r\n", 2);
  luaL_pushresult(&b);
  return 1;
}

static const luaL_Reg functions[] = {
  {"read_request", l_read_request},
  {"chunk", l_chunk},
  {NULL, NULL},
};

void ed_open_http_serve (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
