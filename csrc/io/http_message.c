/* SPDX-License-Identifier: MIT */
/*
** Reading one message: head, framing, body. All that a message may do wrong ends in 'refuse' or
** 'fail', which also say that the connection carries no other message.
*/
#include "io/http_message.h"

#include <string.h>

#include "core/error.h"

enum {
  FIELDS = 1000, /* of any head: the larger of the two limits */
  MAX_INTERIMS = 32,
  RESERVE_MIN = 1 << 16, /* a body with so much still to come is read to its place */
  BULK_MIN = 1 << 18,    /* from here on the system's allocator is told */
  RESERVE_TOP = 1 << 20  /* room made at once on the word of a peer */
};

void ed_http_start (
  ed_http_message *m, ed_loop *loop, bool is_request, uint64_t max_body) {
  uint8_t asked = m->asked;
  memset(m, 0, sizeof *m);
  m->asked = asked;
  m->is_request = is_request;
  m->max_body = max_body;
  m->started = m->heard = loop->now;
  m->phase = ED_HTTP_HEAD;
}

static bool refuse (ed_http_message *m, int code) {
  m->refused = code;
  m->keep_alive = false;
  return true;
}

/* The stream has ended before the message did. */
static bool fail (ed_http_message *m, int status) {
  m->failed = status;
  m->keep_alive = false;
  return true;
}

static bool finish (ed_http_message *m) {
  m->phase = ED_HTTP_DONE;
  return true;
}

/* ---- Head ---- */

static const ed_http1_limits *limits_of (const ed_http_message *m) {
  if (m->limits != NULL) return m->limits;
  return m->is_request ? &ed_http1_server_limits : &ed_http1_client_limits;
}

static void keep_head (ed_http_message *m, const ed_http1_head *head) {
  m->status = head->status;
  m->minor = head->minor;
  m->method = head->method;
  m->target = head->target;
  m->form = (uint8_t)head->form;
  m->framing = (uint8_t)head->framing;
  m->length = head->length;
  m->keep_alive = head->keep_alive;
  m->expects = head->expect_continue;
  m->upgrade = head->upgrade;
  m->mentions = head->mentions;
}

static const ed_chunked_limits *chunk_limits_of (const ed_http_message *m) {
  if (m->chunk_limits != NULL) return m->chunk_limits;
  return m->is_request ? &ed_chunked_server_limits : &ed_chunked_client_limits;
}

static int parse_head (ed_http_message *m, char *bytes, size_t len) {
  ed_http1_field field[FIELDS];
  ed_http1_head head;
  int code;
  head.field = field;
  head.maxfields = FIELDS;
  if (m->is_request) code = ed_http1_parse_request(&head, bytes, len);
  else code = ed_http1_parse_response(&head, bytes, len, (ed_http1_asked)m->asked);
  if (code != ED_HTTP1_OK) return code;
  keep_head(m, &head);
  if (m->is_request && m->minor == 1 && !m->expects
    && ed_http1_find(&head, bytes, "expect") != NULL)
    return ED_HTTP_EEXPECT;
  return code;
}

/* Skip an interim answer; false: this is the answer itself. */
static bool skip_interim (ed_http_message *m, ed_stream *stream, size_t len) {
  if (m->is_request || m->status >= 200) return false;
  if (++m->interims > MAX_INTERIMS) return refuse(m, ED_HTTP_EINTERIM);
  ed_stream_consume(stream, len);
  memset(&m->scan, 0, sizeof m->scan);
  return true;
}

static bool has_body (const ed_http_message *m) {
  return m->framing != ED_HTTP1_NOBODY
    && !(m->framing == ED_HTTP1_LENGTH && m->length == 0);
}

/* The head is whole: what of the body? */
static void begin_body (ed_http_message *m, size_t len) {
  m->head_len = len;
  m->first = m->heard;
  m->phase = ED_HTTP_BODY;
  if (m->framing == ED_HTTP1_CHUNKED) ed_chunked_init(&m->chunked, chunk_limits_of(m));
  if (m->length > m->max_body) refuse(m, ED_HTTP_EBODY);
}

/* Find and parse the head. False: more is needed. */
static bool read_head (ed_http_message *m, ed_stream *stream) {
  while (m->head_len == 0 && m->refused == 0) {
    char *bytes = ed_buf_bytes(&stream->in);
    size_t have = stream->in.size;
    long len;
    int code;
    if (have == 0) return false;
    if (m->began == 0) m->began = m->heard;
    len = m->is_request ? ed_http1_request_end(&m->scan, bytes, have, limits_of(m))
                        : ed_http1_response_end(&m->scan, bytes, have, limits_of(m));
    if (len == 0) return false;
    if (len < 0) return refuse(m, (int)len);
    code = parse_head(m, bytes, (size_t)len);
    if (code != ED_HTTP1_OK) return refuse(m, code);
    if (m->status == 101) return refuse(m, ED_HTTP_ESWITCH);
    if (!skip_interim(m, stream, (size_t)len)) begin_body(m, (size_t)len);
  }
  return true;
}

/* ---- Body, whole ---- */

/*
** Decode in place what lies behind the decoded part. True: it is all there, or refused.
*/
static bool decode (ed_http_message *m, ed_stream *stream) {
  char *base = ed_buf_bytes(&stream->in);
  size_t to = m->head_len + m->body_len + m->trailers_len;
  size_t at = to;
  size_t size = stream->in.size;
  ed_chunk_event event = ED_CHUNK_MORE;
  while (at < size && event != ED_CHUNK_END) {
    const char *data;
    size_t used;
    size_t n;
    event = ed_chunked_feed(&m->chunked, base + at, size - at, &used, &data, &n);
    if (event == ED_CHUNK_ERROR) return refuse(m, m->chunked.error);
    at += used;
    if (event != ED_CHUNK_DATA && event != ED_CHUNK_TRAILER) continue;
    memmove(base + to, data, n);
    to += n;
    if (event == ED_CHUNK_TRAILER) m->trailers_len += n;
    else if (n > m->max_body - m->body_len) return refuse(m, ED_HTTP_EBODY);
    else m->body_len += n;
  }
  memmove(base + to, base + at, size - at);
  stream->in.size -= at - to;
  return event == ED_CHUNK_END && finish(m);
}

/*
** Room for much that is still to come, and a byte more, so that a read which fills it tells that
** there is no more. What a peer has announced but not sent is trusted up to a limit; where there is
** no memory, it shows when the bytes come.
*/
static void make_room (ed_stream *stream, uint64_t missing) {
  ed_mem *mem = &stream->handle.loop->mem;
  size_t top = stream->in.size > RESERVE_TOP ? stream->in.size : RESERVE_TOP;
  bool has_room = stream->in.room > ED_READ_ROOM && ed_buf_free_room(&stream->in) > 0;
  if (missing < RESERVE_MIN || has_room) return;
  if (missing >= BULK_MIN) ed_mem_expect_bulk(mem);
  ed_buf_fit(&stream->in, mem, missing < top ? (size_t)missing + 1 : top);
}

static bool read_counted (ed_http_message *m, ed_stream *stream) {
  uint64_t have = stream->in.size - m->head_len;
  if (have < m->length) {
    make_room(stream, m->length - have);
    return false;
  }
  m->body_len = (size_t)m->length;
  return finish(m);
}

static bool read_to_end (ed_http_message *m, ed_stream *stream) {
  if (stream->in.size - m->head_len > m->max_body) return refuse(m, ED_HTTP_EBODY);
  if (stream->ended != UV_EOF) return false;
  m->body_len = stream->in.size - m->head_len;
  return finish(m);
}

static bool read_body (ed_http_message *m, ed_stream *stream) {
  switch ((ed_http1_framing)m->framing) {
    case ED_HTTP1_LENGTH: return read_counted(m, stream);
    case ED_HTTP1_CHUNKED: return decode(m, stream);
    case ED_HTTP1_UNTIL_CLOSE: return read_to_end(m, stream);
    default: return finish(m);
  }
}

/* Bytes have come: a sign of life. The one look at the clock for all that they bring. */
static void hear (ed_http_message *m, const ed_stream *stream) {
  if (stream->in.size > 0 || stream->ended != 0)
    m->heard = ed_loop_now(stream->handle.loop);
}

bool ed_http_read_on (ed_http_message *m, ed_stream *stream) {
  hear(m, stream);
  if (read_head(m, stream)) {
    if (m->refused != 0) return true;
    if (m->head_only) return has_body(m) || finish(m);
    if (read_body(m, stream)) return true;
    if (m->expects) return true;
  }
  return stream->ended != 0 && fail(m, stream->ended);
}

void ed_http_take_whole (ed_http_message *m, ed_stream *stream) {
  ed_stream_consume(stream, m->head_len + m->body_len + m->trailers_len);
  m->head_len = m->body_len = m->trailers_len = 0;
  if (m->phase == ED_HTTP_DONE && (stream->in.size > 0 || stream->ended != 0)
    && !m->is_request)
    m->keep_alive = false;
}

/* ---- Body, in pieces ---- */

/*
** Take 'n' bytes out of the buffer behind the first 'at' ones. Only trailers stand before them,
** so little is moved.
*/
static void cut (ed_stream *stream, size_t at, size_t n) {
  char *base = ed_buf_bytes(&stream->in);
  if (at == 0) ed_buf_consume(&stream->in, &stream->handle.loop->mem, n);
  else {
    memmove(base + at, base + at + n, stream->in.size - at - n);
    stream->in.size -= n;
  }
}

/* Drop the coding in front of the next data. True: data, the end, or a refusal. */
static bool decode_piece (ed_http_message *m, ed_stream *stream) {
  while (stream->in.size > m->trailers_len) {
    const char *data;
    size_t used;
    size_t n;
    size_t at = m->trailers_len;
    ed_chunk_event event = ed_chunked_feed(&m->chunked, ed_buf_bytes(&stream->in) + at,
      stream->in.size - at, &used, &data, &n);
    if (event == ED_CHUNK_ERROR) return refuse(m, m->chunked.error);
    if (event != ED_CHUNK_DATA && event != ED_CHUNK_TRAILER) n = 0;
    cut(stream, at, used - n); /* what stands before the data */
    if (event == ED_CHUNK_DATA) m->ready = n;
    if (event == ED_CHUNK_TRAILER) m->trailers_len += n;
    if (event == ED_CHUNK_END) return finish(m);
    if (m->ready > 0) return true;
  }
  return false;
}

static bool find_piece (ed_http_message *m, ed_stream *stream) {
  size_t have = stream->in.size;
  switch ((ed_http1_framing)m->framing) {
    case ED_HTTP1_CHUNKED: return decode_piece(m, stream);
    case ED_HTTP1_LENGTH: m->ready = m->length < have ? (size_t)m->length : have; break;
    default:
      m->ready = have;
      if (have == 0 && stream->ended == UV_EOF) return finish(m);
  }
  return m->ready > 0;
}

bool ed_http_read_piece (ed_http_message *m, ed_stream *stream) {
  if (m->ready > 0 || m->phase == ED_HTTP_DONE || m->refused != 0 || m->failed != 0)
    return true;
  hear(m, stream);
  if (!find_piece(m, stream)) return stream->ended != 0 && fail(m, stream->ended);
  if (m->refused == 0 && m->ready > m->max_body - m->body_len)
    return refuse(m, ED_HTTP_EBODY);
  return true;
}

void ed_http_take (ed_http_message *m, ed_stream *stream, size_t n) {
  ed_stream_consume(stream, n);
  m->ready -= n;
  m->body_len += n;
  if (m->framing != ED_HTTP1_LENGTH) return;
  m->length -= n;
  if (m->length == 0) finish(m);
}

void ed_http_take_trailers (ed_http_message *m, ed_stream *stream) {
  ed_stream_consume(stream, m->trailers_len);
  m->trailers_len = 0;
}

/* ---- Errors ---- */

static const char *const phase_name[] = {"idle", "write", "head", "body", "done"};

static int push_refusal (lua_State *L, int code, const char *op, const char *target) {
  const char *kind = code == ED_HTTP1_EHEADERS ? "limit" : "protocol";
  if (code == ED_HTTP_EBODY)
    return ed_error_fail(L, "limit", "EBODY", op, target, "body above the limit");
  if (code == ED_HTTP_EINTERIM)
    return ed_error_fail(L, "limit", "EHEADERS", op, target, "too many interim answers");
  if (code == ED_HTTP_ESWITCH)
    return ed_error_fail(
      L, "protocol", "EBADHEAD", op, target, "protocol switched without being asked");
  return ed_error_fail(
    L, kind, ed_http1_error_code(code), op, target, ed_http1_error_text(code));
}

int ed_http_push_error (lua_State *L, const ed_http_message *m, ed_stream *stream) {
  const char *op = phase_name[m->phase];
  if (m->refused != 0) return push_refusal(L, m->refused, op, stream->target);
  return ed_stream_push_error(L, stream, m->failed, op);
}
