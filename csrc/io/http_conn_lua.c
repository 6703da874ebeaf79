/* SPDX-License-Identifier: MIT */
/*
** What a handler's task does with its exchange: answer at once, answer in pieces, read the body
** in pieces, take the connection over. An answer that is complete goes out by itself: the task
** does not wait for it, and the exchange is no longer its.
*/
#include <stdio.h>
#include <string.h>

#include "core/class.h"
#include "core/error.h"
#include "io/addr.h"
#include "io/http_server.h"

/* A wait of the handler: for a piece of the body, or until a piece is sent. */
typedef struct piecing {
  ed_op op; /* first */
  ed_http_conn_box *box;
  size_t wanted;
} piecing;

static ed_http_conn *conn_of (lua_State *L) {
  ed_http_conn_box *box = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_HTTP_CONN);
  return box->conn;
}

static int push_gone (lua_State *L, const char *op) {
  return ed_error_fail(L, "closed", "ECLOSED", op, NULL, "the exchange has ended");
}

/* ---- What a handler gets ---- */

ed_http_conn_box *ed_http_conn_push (lua_State *L, ed_http_conn *conn) {
  ed_http_message *m = &conn->message;
  const char *bytes = ed_buf_bytes(&conn->stream->in);
  ed_http_conn_box *box = ed_class_push(
    L, conn->server->loop, ED_CLASS_HTTP_CONN, sizeof *box, 0);
  lua_pushlstring(L, bytes, m->head_len);
  if (m->head_only) lua_pushnil(L);
  else lua_pushlstring(L, bytes + m->head_len, m->body_len);
  return box;
}

/* ---- Answers ---- */

static int check_status (lua_State *L, int arg) {
  lua_Integer status = luaL_checkinteger(L, arg);
  luaL_argcheck(L, status >= 200 && status <= 999, arg, "not a final status");
  return (int)status;
}

static uv_buf_t string_at (lua_State *L, int arg) {
  size_t len;
  const char *text = luaL_optlstring(L, arg, "", &len);
  uv_buf_t piece;
  piece.base = (char *)text;
  piece.len = len;
  return piece;
}

/*
** exchange:respond(status, lines [, body [, close]]) --> true | nil, err
** The whole answer; 'lines' end in CRLF. 'body' is a string; or its length, for HEAD. Does not
** wait; the exchange has ended after it.
*/
static int l_respond (lua_State *L) {
  ed_http_conn *conn = conn_of(L);
  int status = check_status(L, 2);
  bool is_length = lua_type(L, 4) == LUA_TNUMBER;
  char head[ED_HTTP_HEAD_ROOM], tail[ED_HTTP_TAIL_ROOM];
  uv_buf_t piece[4];
  size_t size = 0;
  uint64_t length;
  if (conn == NULL) return push_gone(L, "respond");
  luaL_argcheck(L, !conn->has_begun, 1, "an answer has begun already");
  luaL_argcheck(L, !is_length || conn->is_head, 4, "a length is for HEAD");
  piece[1] = string_at(L, 3);
  piece[3] = is_length ? uv_buf_init(NULL, 0) : string_at(L, 4);
  length = is_length ? (uint64_t)luaL_checkinteger(L, 4) : piece[3].len;
  conn->closes |= lua_toboolean(L, 5);
  piece[0] = uv_buf_init(head, (unsigned)ed_http_head_begin(conn->server, head, status));
  if (!ed_http_has_no_body(status)) size = ed_http_head_length(tail, length);
  size += ed_http_head_end(conn, tail + size);
  piece[2] = uv_buf_init(tail, (unsigned)size);
  ed_http_conn_finish(conn, piece, conn->is_head || ed_http_has_no_body(status) ? 3 : 4);
  lua_pushboolean(L, 1);
  return 1;
}

static bool begin_out (
  ed_http_conn *conn, int status, uv_buf_t lines, const char *tail, size_t size) {
  ed_mem *mem = &conn->server->loop->mem;
  char head[ED_HTTP_HEAD_ROOM];
  size_t n = ed_http_head_begin(conn->server, head, status);
  return ed_buf_append(&conn->out, mem, head, n)
    && ed_buf_append(&conn->out, mem, lines.base, lines.len)
    && ed_buf_append(&conn->out, mem, tail, size);
}

/*
** exchange:begin(status, lines [, length]) --> true | nil, err
** Begin an answer in pieces: 'length' bytes, or chunked, or until close where the peer is older.
** Does not wait: the head goes out with the first piece.
*/
static int l_begin (lua_State *L) {
  ed_http_conn *conn = conn_of(L);
  int status = check_status(L, 2);
  uv_buf_t lines = string_at(L, 3);
  lua_Integer length = luaL_optinteger(L, 4, -1);
  char tail[ED_HTTP_TAIL_ROOM];
  size_t size = 0;
  if (conn == NULL) return push_gone(L, "respond");
  luaL_argcheck(L, !conn->has_begun, 1, "an answer has begun already");
  conn->is_counted = length >= 0;
  conn->is_chunked = length < 0 && conn->message.minor == 1
    && !ed_http_has_no_body(status);
  conn->left = length >= 0 ? (uint64_t)length : 0;
  if (length < 0 && !conn->is_chunked && !ed_http_has_no_body(status))
    conn->closes = true;
  if (conn->is_chunked)
    size = (size_t)snprintf(tail, sizeof tail, "Transfer-Encoding: chunked\r\n");
  else if (length >= 0 && !ed_http_has_no_body(status))
    size = ed_http_head_length(tail, (uint64_t)length);
  if (ed_http_has_no_body(status)) conn->is_head = true;
  size += ed_http_head_end(conn, tail + size);
  conn->has_begun = true;
  if (!begin_out(conn, status, lines, tail, size))
    return luaL_error(L, "not enough memory");
  lua_pushboolean(L, 1);
  return 1;
}

static ed_verdict cancel_write (ed_op *op) {
  ed_http_conn *conn = ((piecing *)op)->box->conn;
  return conn != NULL ? ed_stream_stop_write(conn->stream, op) : ED_DETACHED;
}

static const ed_optype write_type = {
  .name = "http write",
  .finish = ed_finish_true,
  .cancel = cancel_write,
  .drop = ed_drop_plain,
};

/* The pieces of one write: what is due before it, and it, coded. */
static unsigned frame (ed_http_conn *conn, uv_buf_t *piece, uv_buf_t bytes, char *line) {
  unsigned n = 0;
  if (conn->out.size > 0)
    piece[n++] = uv_buf_init(ed_buf_bytes(&conn->out), (unsigned)conn->out.size);
  if (bytes.len == 0 || conn->is_head) return n;
  if (conn->is_chunked)
    piece[n++] = uv_buf_init(line, (unsigned)ed_chunked_line(line, bytes.len));
  piece[n++] = bytes;
  if (conn->is_chunked) piece[n++] = uv_buf_init((char *)"\r\n", 2);
  return n;
}

/*
** exchange:write(bytes) --> true | nil, err
** Awaits until the system has taken it; "" sends the head alone. Cancelling stops the waiting
** only: what was begun is sent whole.
*/
static int l_write (lua_State *L) {
  ed_http_conn_box *box = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_HTTP_CONN);
  ed_http_conn *conn;
  uv_buf_t piece[4], bytes;
  char line[ED_CHUNK_LINE];
  piecing *p;
  unsigned n;
  int status = 0;
  luaL_checkstring(L, 2);
  bytes = string_at(L, 2);
  luaL_argcheck(L, box->conn == NULL || box->conn->has_begun, 1, "no answer has begun");
  p = ed_op_new(L, &write_type, sizeof *p);
  p->box = box;
  if ((conn = box->conn) == NULL) return ed_await(L, &p->op, UV_ECANCELED);
  if (conn->is_counted && bytes.len > conn->left) return ed_await(L, &p->op, UV_EMSGSIZE);
  conn->left -= conn->is_counted ? bytes.len : 0;
  n = frame(conn, piece, bytes, line);
  if (n > 0) status = ed_stream_start_write(conn->stream, &p->op, piece, n);
  else ed_op_complete(&p->op, 0);
  if (status == 0) ed_buf_free(&conn->out, &conn->server->loop->mem);
  return ed_await(L, &p->op, status);
}

/* The pieces that end an answer: what is due, the last bytes, the end of the chunks. */
static unsigned frame_end (
  ed_http_conn *conn, uv_buf_t *piece, const ed_buf *out, uv_buf_t last, char *line) {
  bool has_body = conn->is_chunked && !conn->is_head;
  unsigned n = 0;
  if (out->size > 0) piece[n++] = uv_buf_init(ed_buf_bytes(out), (unsigned)out->size);
  if (has_body && last.len > 0) {
    piece[n++] = uv_buf_init(line, (unsigned)ed_chunked_line(line, last.len));
    piece[n++] = last;
    piece[n++] = uv_buf_init((char *)"\r\n0\r\n\r\n", 7);
  } else if (has_body) piece[n++] = uv_buf_init((char *)"0\r\n\r\n", 5);
  if (n == 0) piece[n++] = uv_buf_init((char *)"", 0);
  return n;
}

/*
** exchange:finish([last]) --> true | nil, err
** The end of an answer in pieces; one that is shorter than announced cuts the connection. 'last':
** bytes of a chunked answer that go out with the end. Does not wait; the exchange has ended after
** it.
*/
static int l_finish (lua_State *L) {
  ed_http_conn *conn = conn_of(L);
  uv_buf_t piece[4], last = string_at(L, 2);
  char line[ED_CHUNK_LINE];
  ed_buf out;
  if (conn == NULL) return push_gone(L, "respond");
  luaL_argcheck(L, conn->has_begun, 1, "no answer has begun");
  luaL_argcheck(L, last.len == 0 || conn->is_chunked, 2, "not a chunked answer");
  if (conn->is_counted && conn->left > 0 && !conn->is_head) {
    ed_http_conn_detach(conn);
    ed_http_conn_close(conn);
    return ed_error_fail(L, "protocol", "EBADFRAMING", "respond", NULL,
      "the body is shorter than announced");
  }
  out = conn->out;
  conn->out = (ed_buf){NULL, 0, 0, 0};
  ed_http_conn_finish(conn, piece, frame_end(conn, piece, &out, last, line));
  ed_buf_free(&out, &ed_loop_of(L)->mem);
  lua_pushboolean(L, 1);
  return 1;
}

/* exchange:cut(): half an answer cannot be repaired. Idempotent. */
static int l_cut (lua_State *L) {
  ed_http_conn *conn = conn_of(L);
  if (conn == NULL) return 0;
  ed_http_conn_detach(conn);
  ed_http_conn_close(conn);
  return 0;
}

/* exchange:hold(): the handler wants to do something behind its answer: no short way for it. */
static int l_hold (lua_State *L) {
  ed_http_conn_box *box = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_HTTP_CONN);
  box->is_held = true;
  return 0;
}

/* exchange:has_begun() --> boolean | nil: has an answer begun; nil when the exchange has ended. */
static int l_has_begun (lua_State *L) {
  ed_http_conn *conn = conn_of(L);
  if (conn == NULL) lua_pushnil(L);
  else lua_pushboolean(L, conn->has_begun);
  return 1;
}

/* ---- The body in pieces ---- */

static ed_verdict cancel_piece (ed_op *op) {
  ed_http_conn *conn = ((piecing *)op)->box->conn;
  if (conn != NULL) conn->piece = NULL;
  ed_op_release(op);
  return ED_STOPPED;
}

static int finish_piece (lua_State *L, ed_op *op) {
  piecing *p = (piecing *)op;
  ed_http_conn *conn = p->box->conn;
  ed_http_message *m;
  size_t n;
  if (conn == NULL) return push_gone(L, "read");
  m = &conn->message;
  if (m->refused != 0 || m->failed != 0) return ed_http_push_error(L, m, conn->stream);
  n = m->ready < p->wanted ? m->ready : p->wanted;
  if (n == 0) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushlstring(L, ed_buf_bytes(&conn->stream->in), n);
  ed_http_take(m, conn->stream, n);
  ed_stream_resume(conn->stream);
  return 1;
}

static const ed_optype piece_type = {
  .name = "http body",
  .finish = finish_piece,
  .cancel = cancel_piece,
  .drop = ed_drop_plain,
};

static void tell_to_go_on (ed_http_conn *conn) {
  static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
  uv_buf_t piece = uv_buf_init(text, sizeof text - 1);
  if (!conn->message.expects || conn->has_begun) return;
  conn->message.expects = false;
  ed_http_conn_send(conn, &piece, 1, false);
}

/*
** exchange:read([n]) --> bytes | nil | nil, err
** The next piece of the body, 1 to 'n' bytes; nil at its end. Tells a peer that waits for it to
** go on. Awaits. Cancelling loses nothing.
*/
static int l_read (lua_State *L) {
  ed_http_conn_box *box = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_HTTP_CONN);
  lua_Integer wanted = luaL_optinteger(L, 2, ED_STREAM_HIGH);
  ed_http_conn *conn;
  piecing *p;
  luaL_argcheck(L, wanted > 0, 2, "must be above 0");
  p = ed_op_new(L, &piece_type, sizeof *p);
  p->box = box;
  p->wanted = (size_t)wanted;
  if ((conn = box->conn) == NULL) return ed_await(L, &p->op, UV_ECANCELED);
  if (conn->piece != NULL) return ed_await(L, &p->op, UV_EBUSY);
  tell_to_go_on(conn);
  if (ed_http_read_piece(&conn->message, conn->stream)) ed_op_done(&p->op, 0);
  else {
    conn->piece = &p->op;
    conn->asked = ed_loop_now(conn->server->loop);
  }
  return ed_await(L, &p->op, 0);
}

/* ---- About the connection ---- */

/* exchange:peer() --> address, port | nil */
static int l_peer (lua_State *L) {
  ed_http_conn *conn = conn_of(L);
  struct sockaddr_storage addr;
  char text[INET6_ADDRSTRLEN];
  int len = sizeof addr;
  if (conn == NULL || conn->stream->handle.uv.any.type != UV_TCP) return 0;
  if (uv_tcp_getpeername(&conn->stream->handle.uv.tcp, (struct sockaddr *)&addr, &len)
    < 0)
    return 0;
  if (uv_ip_name((struct sockaddr *)&addr, text, sizeof text) < 0) return 0;
  lua_pushstring(L, text);
  lua_pushinteger(L, ed_addr_port(&addr));
  return 2;
}

/* exchange:wants_upgrade() --> boolean */
static int l_wants_upgrade (lua_State *L) {
  ed_http_conn *conn = conn_of(L);
  lua_pushboolean(L, conn != NULL && conn->message.upgrade);
  return 1;
}

/*
** exchange:upgrade(lines) --> Stream | nil, err
** Answer 101 with these lines and take the connection over, with what has come behind the
** request. Does not wait.
*/
static int l_upgrade (lua_State *L) {
  ed_http_conn *conn = conn_of(L);
  uv_buf_t piece[3] = {{0}};
  char head[ED_HTTP_HEAD_ROOM];
  ed_stream *stream;
  int status;
  if (conn == NULL) return push_gone(L, "upgrade");
  luaL_argcheck(L, !conn->has_begun, 1, "an answer has begun already");
  luaL_argcheck(
    L, conn->message.phase == ED_HTTP_DONE, 1, "the body is to be read first");
  piece[0] = uv_buf_init(head, (unsigned)ed_http_head_begin(conn->server, head, 101));
  piece[1] = string_at(L, 2);
  piece[2] = uv_buf_init((char *)"\r\n", 2);
  stream = conn->stream;
  ed_stream_box(L, stream);
  if ((status = ed_http_conn_send(conn, piece, 3, false)) < 0) {
    ed_http_conn_release(conn);
    ed_handle_close(&stream->handle);
    return ed_error_uv(L, status, "upgrade", NULL);
  }
  ed_http_conn_release(conn);
  return 1;
}

static const luaL_Reg methods[] = {
  {"respond", l_respond},
  {"begin", l_begin},
  {"write", l_write},
  {"finish", l_finish},
  {"cut", l_cut},
  {"hold", l_hold},
  {"has_begun", l_has_begun},
  {"read", l_read},
  {"peer", l_peer},
  {"wants_upgrade", l_wants_upgrade},
  {"upgrade", l_upgrade},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {{NULL, NULL}};

void ed_open_http_conn (lua_State *L, int box) {
  ed_loop *loop = ((ed_box *)lua_touserdata(L, box))->loop;
  ed_class_new(L, loop, ED_CLASS_HTTP_CONN, "eddy.http.Exchange", methods, meta, box);
}
