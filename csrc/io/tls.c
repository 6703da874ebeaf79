/* SPDX-License-Identifier: MIT */
/*
** The filter of a stream that speaks TLS: the engine of proto/tls between the socket and the
** stream's buffer. What comes from the socket is decrypted in the read callback into the loop's
** shared buffers, so readers, and the HTTP exchange, notice nothing. A write is encrypted whole
** before any of it is left to libuv, hence a waiter that leaves cannot cut a record in two.
**
** Before the handshake is over a write is kept ('held') and its writer waits. The engine is freed
** when the stream closes; what it found wrong is kept for those who ask later.
*/
#include "io/tls.h"

#include <string.h>

#include "core/class.h"
#include "core/error.h"
#include "core/permit.h"
#include "eddy.h"

typedef struct filtering {
  ed_tls *tls;  /* NULL: the stream is closed */
  ed_buf held;  /* of the stream's writer: plaintext that waits for the handshake */
  ed_op *shut;  /* a shutdown that waits for it, or NULL */
  int broken;   /* UV_E code: records were lost on our side */
  bool is_held; /* the stream's writer is ours to answer */
  bool is_open; /* the handshake was completed */
  ed_tls_error error;
} filtering;

typedef struct shaking {
  ed_op op; /* first */
  ed_stream *stream;
} shaking;

enum {
  BATCH = 65536,         /* encrypted between two looks at the socket */
  UNASKED_MAX = 1 << 18, /* of our answers that the peer does not read */
  PEER_ROOM = 8192
};

/* ---- sending ---- */

/* Let the socket have what the engine wants to send; a rest is left in the engine. */
static int send_some (ed_stream *stream, filtering *f) {
  ed_buf *out = ed_tls_output(f->tls);
  uv_buf_t piece = {.base = ed_buf_bytes(out), .len = out->size};
  ssize_t sent = out->size > 0 ? ed_stream_send_raw(stream, &piece, 1) : 0;
  if (sent < 0) return (int)sent;
  ed_buf_consume(out, &stream->handle.loop->mem, (size_t)sent);
  return 0;
}

/* The same, and the rest to libuv: 'op' (or NULL) is answered when all is sent. */
static int send_all (ed_stream *stream, filtering *f, ed_op *op) {
  ed_buf *out = ed_tls_output(f->tls);
  int status = send_some(stream, f);
  if (status == 0 && out->size > 0) return ed_stream_queue_raw(stream, op, out);
  if (status < 0) ed_buf_free(out, &stream->handle.loop->mem);
  else if (op != NULL) ed_op_complete(op, 0);
  return status;
}

/*
** What the engine itself has to say. A failure shows when the socket is read; a peer that asks for
** answers and never takes them is cut off.
*/
static void send_answers (ed_stream *stream, filtering *f) {
  if (ed_tls_output(f->tls)->size > 0 && send_all(stream, f, NULL) == UV_ENOMEM)
    f->broken = stream->ended = UV_ENOMEM;
  if (stream->writer == NULL && stream->handle.uv.stream.write_queue_size > UNASKED_MAX)
    f->broken = stream->ended = UV_ENOBUFS;
}

static bool encrypt (ed_stream *stream, filtering *f, const char *bytes, size_t n) {
  bool is_full = false;
  while (n > 0) {
    size_t now = n < BATCH ? n : BATCH;
    if (!ed_tls_write(f->tls, bytes, now)) return false;
    bytes += now;
    n -= now;
    if (is_full || n == 0) continue;
    if ((f->broken = send_some(stream, f)) < 0) return false;
    is_full = ed_tls_output(f->tls)->size > 0;
  }
  return true;
}

/* Why nothing can be written any more; 0: it can. */
static int refusal (ed_stream *stream, const filtering *f) {
  if (f->broken < 0) return f->broken;
  if (f->tls == NULL) return UV_ECANCELED;
  if (ed_tls_state_of(f->tls) == ED_TLS_FAILED) return ED_EFILTER;
  if (!f->is_open && stream->ended != 0) return stream->ended;
  return 0;
}

static int write_pieces (
  ed_stream *stream, filtering *f, ed_op *op, const uv_buf_t *piece, unsigned n) {
  int status;
  for (unsigned i = 0; i < n; i++)
    if (!encrypt(stream, f, piece[i].base, piece[i].len)) {
      if (f->broken == 0) f->error = *ed_tls_why(f->tls);
      return f->broken < 0 ? f->broken : ED_EFILTER;
    }
  status = send_all(stream, f, op);
  if (status < 0) f->broken = status;
  return status;
}

static int hold (
  ed_stream *stream, filtering *f, ed_op *op, const uv_buf_t *piece, unsigned n) {
  ed_mem *mem = &stream->handle.loop->mem;
  int status = ed_stream_read_raw(stream);
  for (unsigned i = 0; i < n && status == 0; i++)
    if (piece[i].len > 0 && !ed_buf_append(&f->held, mem, piece[i].base, piece[i].len))
      status = UV_ENOMEM;
  if (status < 0) {
    ed_buf_free(&f->held, mem);
    return status;
  }
  f->is_held = true;
  stream->writer = op;
  return 0;
}

static int write_tls (ed_stream *stream, ed_op *op, uv_buf_t *piece, unsigned n) {
  filtering *f = stream->filtering;
  int status = refusal(stream, f);
  if (status < 0) return status;
  if (f->is_held) return UV_EBUSY;
  return f->is_open ? write_pieces(stream, f, op, piece, n)
                    : hold(stream, f, op, piece, n);
}

static int shut_tls (ed_stream *stream, ed_op *op) {
  filtering *f = stream->filtering;
  int status = refusal(stream, f);
  if (status < 0) return status;
  if (f->is_open) {
    ed_tls_close(f->tls);
    send_answers(stream, f);
    return ed_stream_shut_raw(stream, op);
  }
  if (f->shut != NULL) return UV_EBUSY;
  if ((status = ed_stream_read_raw(stream)) == 0) f->shut = op;
  return status;
}

/* ---- receiving ---- */

/* Answer who waited for the handshake; 'status' is 0 if it was completed. */
static void answer_held (ed_stream *stream, filtering *f, int status) {
  ed_buf held = f->held;
  ed_op *shut = f->shut;
  f->held = (ed_buf){NULL, 0, 0, 0};
  f->shut = NULL;
  if (f->is_held) {
    uv_buf_t piece = {.base = ed_buf_bytes(&held), .len = held.size};
    ed_op *op = stream->writer;
    f->is_held = false;
    stream->writer = NULL;
    if (status == 0) status = write_pieces(stream, f, op, &piece, 1);
    if (status < 0) ed_op_complete(op, status);
    ed_stream_begin_next(stream);
  }
  ed_buf_free(&held, &stream->handle.loop->mem);
  if (shut == NULL) return;
  if (status == 0) status = shut_tls(stream, shut);
  if (status < 0) ed_op_complete(shut, status);
}

/* All plaintext that the engine can make now goes to the reader. */
static void decrypt (ed_stream *stream, filtering *f) {
  ed_loop *loop = stream->handle.loop;
  size_t n;
  do {
    char *to = ed_loop_borrow_buffer(loop);
    if (to == NULL) {
      f->broken = stream->ended = UV_ENOMEM;
      return;
    }
    n = ed_tls_read(f->tls, to, ED_READ_ROOM);
    if (n > 0) ed_stream_take_bytes(stream, to, n);
    else ed_loop_return_buffer(loop, to);
  } while (n == ED_READ_ROOM && stream->ended == 0);
}

static void note_state (ed_stream *stream, filtering *f) {
  ed_tls_state state = ed_tls_state_of(f->tls);
  bool was_open = f->is_open;
  if (state == ED_TLS_OPEN || state == ED_TLS_ENDED) f->is_open = true;
  if (state == ED_TLS_ENDED && stream->ended == 0) stream->ended = UV_EOF;
  if (state == ED_TLS_FAILED && stream->ended == 0) stream->ended = ED_EFILTER;
  if (state == ED_TLS_FAILED) f->error = *ed_tls_why(f->tls);
  if (f->is_open && !was_open) answer_held(stream, f, 0);
  else if (!f->is_open && stream->ended != 0) answer_held(stream, f, stream->ended);
}

/* The socket has ended: cut off, unless the peer has said so before. */
static void feed_end (ed_stream *stream, filtering *f, int status) {
  if (status == UV_EOF && f->is_open && stream->ended == 0) ed_tls_cut(f->tls);
  else if (stream->ended == 0) stream->ended = status;
}

static void feed_tls (ed_stream *stream, const char *bytes, ssize_t n) {
  filtering *f = stream->filtering;
  if (n < 0) feed_end(stream, f, (int)n);
  else {
    ed_tls_feed(f->tls, bytes, (size_t)n);
    decrypt(stream, f);
    send_answers(stream, f);
  }
  note_state(stream, f);
}

/* ---- life ---- */

static void close_tls (ed_stream *stream) {
  filtering *f = stream->filtering;
  if (f->tls == NULL) return;
  answer_held(stream, f, UV_ECANCELED);
  ed_tls_close(f->tls);
  send_some(stream, f);
  ed_tls_free(f->tls);
  f->tls = NULL;
}

static void drop_tls (ed_stream *stream) {
  filtering *f = stream->filtering;
  ed_tls_free(f->tls);
  ed_mem_free(&stream->handle.loop->mem, f, sizeof *f);
}

static int push_tls_error (lua_State *L, ed_stream *stream, const char *op) {
  const filtering *f = stream->filtering;
  if (f->error.code == ED_TLS_NO_MEMORY)
    return ed_error_uv(L, UV_ENOMEM, op, stream->target);
  return ed_error_fail(
    L, "tls", ed_tls_code_name(f->error.code), op, stream->target, f->error.text);
}

static const ed_filter tls_filter = {
  .feed = feed_tls,
  .write = write_tls,
  .shutdown = shut_tls,
  .closing = close_tls,
  .drop = drop_tls,
  .push_error = push_tls_error,
};

static bool is_in_use (const ed_stream *stream) {
  return stream->reader != NULL || stream->taker != NULL || stream->next_writer != NULL
    || (stream->writer != NULL && stream->writer->task != NULL);
}

/* What was read before TLS began belongs to it. */
static void begin (ed_stream *stream) {
  ed_mem *mem = &stream->handle.loop->mem;
  ed_buf early = stream->in;
  stream->in = (ed_buf){NULL, 0, 0, 0};
  feed_tls(stream, ed_buf_bytes(&early), (ssize_t)early.size);
  ed_buf_free(&early, mem);
}

int ed_tls_attach (
  ed_stream *stream, ed_tls_context *context, const char *host, const char *origin) {
  ed_loop *loop = stream->handle.loop;
  filtering *f;
  if (ed_stream_is_closed(stream)) return UV_ECANCELED;
  if (stream->filter != NULL || stream->is_shut) return UV_EINVAL;
  if (is_in_use(stream)) return UV_EBUSY;
  if ((f = ed_loop_calloc(loop, sizeof *f)) == NULL) return UV_ENOMEM;
  if ((f->tls = ed_tls_new(context, &loop->mem, host, origin)) == NULL) {
    ed_mem_free(&loop->mem, f, sizeof *f);
    return UV_ENOMEM;
  }
  stream->filter = &tls_filter;
  stream->filtering = f;
  if (stream->ended == 0) begin(stream);
  return 0;
}

bool ed_tls_is_shaking (const ed_stream *stream) {
  return stream->filter == &tls_filter && !((filtering *)stream->filtering)->is_open;
}

/* ---- the handshake as a wait ---- */

static bool want_handshake (ed_stream *stream, ed_op *op) {
  (void)op;
  return ((filtering *)stream->filtering)->is_open || stream->ended != 0;
}

static ed_verdict cancel_handshake (ed_op *op) {
  ed_stream *stream = ((shaking *)op)->stream;
  ed_stream_stop_read(stream, op);
  ed_handle_close(&stream->handle);
  return ED_STOPPED;
}

static void describe_handshake (const ed_op *op, char *text, size_t room) {
  const ed_stream *stream = ((const shaking *)op)->stream;
  snprintf(text, room, "%s", stream->target != NULL ? stream->target : "");
}

static int finish_handshake (lua_State *L, ed_op *op) {
  ed_stream *stream = ((shaking *)op)->stream;
  filtering *f = stream->filtering;
  if (!f->is_open) return ed_stream_push_error(L, stream, stream->ended, op->type->name);
  lua_pushboolean(L, 1);
  return 1;
}

static const ed_optype handshake_type = {
  .name = "tls",
  .finish = finish_handshake,
  .cancel = cancel_handshake,
  .drop = ed_drop_plain,
  .describe = describe_handshake,
};

/*
** stream:handshake() --> true | nil, err
** Awaits the handshake of a stream that speaks TLS; of one that does not, nothing. Reading and
** writing do that by themselves. Cancelling closes the stream.
*/
static int l_stream_handshake (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  shaking *s;
  if (stream->filter != &tls_filter) {
    lua_pushboolean(L, 1);
    return 1;
  }
  s = ed_op_new(L, &handshake_type, sizeof *s);
  s->stream = stream;
  return ed_await(L, &s->op, ed_stream_start_read(stream, &s->op, want_handshake, 0));
}

/* ---- attaching ---- */

/* tls.speaks(stream) --> boolean: TLS was begun on it. */
static int l_speaks (lua_State *L) {
  lua_pushboolean(L, ed_stream_check(L, 1)->filter != NULL);
  return 1;
}

/*
** tls.attach(stream, context [, host [, origin]]) --> true | nil, err
** The stream speaks TLS from now on. Sessions are resumed by 'origin', or else by the host. Does not
** wait.
*/
static int l_attach (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  ed_tls_context *context = ed_tls_check_context(L, 2);
  const char *host = luaL_optstring(L, 3, NULL);
  const char *origin = luaL_optstring(L, 4, NULL);
  int status;
  luaL_argcheck(L, stream->filter == NULL, 1, "stream speaks TLS already");
  luaL_argcheck(
    L, host == NULL || strlen(host) <= ED_TLS_HOST_MAX, 3, "host is too long");
  status = ed_tls_attach(stream, context, host, origin);
  if (status < 0) return ed_error_uv(L, status, "tls", stream->target);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- what came of the handshake: nothing for a stream without TLS, or a closed one ---- */

static const ed_tls *opt_engine (lua_State *L) {
  ed_stream *stream = ed_stream_check(L, 1);
  const filtering *f = stream->filter == &tls_filter ? stream->filtering : NULL;
  return f != NULL && f->is_open ? f->tls : NULL;
}

/* stream:tls_version() --> "TLSv1.3", cipher | nil */
static int l_stream_tls_version (lua_State *L) {
  const ed_tls *tls = opt_engine(L);
  if (tls == NULL) return 0;
  lua_pushstring(L, ed_tls_version(tls));
  lua_pushstring(L, ed_tls_cipher(tls));
  return 2;
}

/* stream:alpn() --> the protocol that was agreed on | nil */
static int l_stream_alpn (lua_State *L) {
  const ed_tls *tls = opt_engine(L);
  size_t len;
  const char *name = tls != NULL ? ed_tls_alpn(tls, &len) : NULL;
  if (name == NULL) return 0;
  lua_pushlstring(L, name, len);
  return 1;
}

/* stream:resumed() --> boolean: an earlier session was taken up. */
static int l_stream_resumed (lua_State *L) {
  const ed_tls *tls = opt_engine(L);
  lua_pushboolean(L, tls != NULL && ed_tls_is_resumed(tls));
  return 1;
}

/* A line "key\tvalue\n" into the table at 2; names go to the list at 3. Where the next begins. */
static const char *push_line (lua_State *L, const char *at) {
  const char *tab = strchr(at, '\t'), *end = strchr(tab, '\n');
  lua_pushlstring(L, at, (size_t)(tab - at));
  lua_pushlstring(L, tab + 1, (size_t)(end - tab) - 1);
  if (strcmp(lua_tostring(L, -2), "name") == 0)
    lua_rawseti(L, 3, (lua_Integer)lua_rawlen(L, 3) + 1);
  else {
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, lua_tostring(L, -3));
  }
  lua_settop(L, 3);
  return end + 1;
}

/*
** stream:peer_certificate() --> {subject=, issuer=, not_before=, not_after=, serial=, sha256=,
** names={...}} | nil
*/
static int l_stream_peer_certificate (lua_State *L) {
  const ed_tls *tls = opt_engine(L);
  char text[PEER_ROOM];
  size_t n = tls != NULL ? ed_tls_describe_peer(tls, text, sizeof text) : 0;
  if (n == 0) return 0;
  lua_settop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  for (const char *at = text; at < text + n;) at = push_line(L, at);
  lua_setfield(L, 2, "names");
  return 1;
}

static const luaL_Reg functions[] = {
  {"attach", l_attach},
  {"speaks", l_speaks},
  {NULL, NULL},
};

static const luaL_Reg stream_methods[] = {
  {"handshake", l_stream_handshake},
  {"tls_version", l_stream_tls_version},
  {"alpn", l_stream_alpn},
  {"resumed", l_stream_resumed},
  {"peer_certificate", l_stream_peer_certificate},
  {NULL, NULL},
};

/* Behind eddy.core.net: streams are there. */
void ed_open_tls (lua_State *L, int box) {
  ed_loop *loop = ((ed_box *)lua_touserdata(L, box))->loop;
  box = lua_absindex(L, box);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->metatable[ED_CLASS_STREAM]);
  lua_getfield(L, -1, "__index");
  ed_setfuncs(L, stream_methods, box);
  lua_pop(L, 2);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
  ed_open_tls_context(L, box);
}
