/* SPDX-License-Identifier: MIT */
/*
** The chunked coding as a machine of one byte per step, except inside chunks, where all that is
** there is handed out at once. Sizes and line ends are a few bytes per chunk, so that a table
** or a scan would win nothing. Names of trailers and extensions are checked by http1.h.
*/
#include "proto/chunked.h"

#include <stdbool.h>
#include <string.h>

#include "proto/http1.h"

const ed_chunked_limits ed_chunked_client_limits = {4096 - 16, 16 * 1024};
const ed_chunked_limits ed_chunked_server_limits = {256, 16 * 1024};

enum { MAX_DIGITS = 16 };

typedef enum state {
  SIZE,        /* before or in the digits */
  EXT_NAME,    /* after ";": at least one byte of a token */
  EXT_IN_NAME, /* then "=", ";" or CR */
  EXT_VALUE,   /* after "=" */
  EXT_IN_VALUE,
  EXT_QUOTED,  /* in "..." */
  EXT_ESCAPED, /* after "\" in it */
  EXT_DONE,    /* after the second quote */
  SIZE_LF,
  DATA,
  DATA_CR,
  DATA_LF,
  LINE, /* of trailers; CR here ends the body */
  NAME,
  CONTENT, /* a trailer's value */
  LINE_LF,
  LAST_LF,
  DONE,
  FAILED
} state;

void ed_chunked_init (ed_chunked *decoder, const ed_chunked_limits *limits) {
  memset(decoder, 0, sizeof *decoder);
  decoder->limits = *limits;
}

static state fail (ed_chunked *decoder, int code) {
  decoder->error = (int8_t)code;
  return FAILED;
}

static state garbage (ed_chunked *decoder) { return fail(decoder, ED_HTTP1_EFRAMING); }

/* 'next' if it is the byte we want. */
static state expect (ed_chunked *decoder, char c, char wanted, state next) {
  return c == wanted ? next : garbage(decoder);
}

static int hex_value (char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static state see_size (ed_chunked *d, char c) {
  int digit = hex_value(c);
  if (digit >= 0) {
    d->left = d->left << 4 | (uint64_t)digit;
    return ++d->count > MAX_DIGITS || d->left > INT64_MAX ? garbage(d) : SIZE;
  }
  if (d->count == 0) return garbage(d);
  d->count = 0;
  if (c == ';') return EXT_NAME;
  return expect(d, c, '\r', SIZE_LF);
}

/* What may follow a complete name or value. */
static state see_ext_end (ed_chunked *d, char c) {
  return c == ';' ? EXT_NAME : expect(d, c, '\r', SIZE_LF);
}

static state see_ext_text (ed_chunked *d, char c) {
  switch ((state)d->state) {
    case EXT_NAME: return ed_http1_is_token(&c, 1) ? EXT_IN_NAME : garbage(d);
    case EXT_IN_NAME:
      if (ed_http1_is_token(&c, 1)) return EXT_IN_NAME;
      return c == '=' ? EXT_VALUE : see_ext_end(d, c);
    case EXT_VALUE:
      if (c == '"') return EXT_QUOTED;
      return ed_http1_is_token(&c, 1) ? EXT_IN_VALUE : garbage(d);
    case EXT_IN_VALUE: return ed_http1_is_token(&c, 1) ? EXT_IN_VALUE : see_ext_end(d, c);
    case EXT_DONE: return see_ext_end(d, c);
    default: /* in quotes */
      if (!ed_http1_is_value(&c, 1)) return garbage(d);
      if (d->state == EXT_ESCAPED) return EXT_QUOTED;
      return c == '"' ? EXT_DONE : c == '\\' ? EXT_ESCAPED : EXT_QUOTED;
  }
}

/* Extensions are ignored, but not without end. The ";" before the first byte counts too. */
static state see_ext (ed_chunked *d, char c) {
  if (c != '\r' && ++d->count >= d->limits.extension) return fail(d, ED_HTTP1_EHEADERS);
  return see_ext_text(d, c);
}

/* After the line of a size: the last chunk is followed by trailers. */
static state see_size_end (ed_chunked *d, char c) {
  d->count = 0;
  return expect(d, c, '\n', d->left > 0 ? DATA : LINE);
}

static state see_trailer_text (ed_chunked *d, char c) {
  switch ((state)d->state) {
    case LINE:
      if (c == '\r') return LAST_LF;
      return ed_http1_is_token(&c, 1) ? NAME : garbage(d);
    case NAME:
      if (c == ':') return CONTENT;
      return ed_http1_is_token(&c, 1) ? NAME : garbage(d);
    case CONTENT: return ed_http1_is_value(&c, 1) ? CONTENT : expect(d, c, '\r', LINE_LF);
    default: return expect(d, c, '\n', LINE);
  }
}

static state see_trailer (ed_chunked *d, char c) {
  state next = see_trailer_text(d, c);
  if (next == LAST_LF || next == FAILED) return next;
  return ++d->count > d->limits.trailers ? fail(d, ED_HTTP1_EHEADERS) : next;
}

static bool is_trailer (const ed_chunked *d) {
  return d->state >= LINE && d->state <= LINE_LF;
}

static state see (ed_chunked *d, char c) {
  switch ((state)d->state) {
    case SIZE: return see_size(d, c);
    case SIZE_LF: return see_size_end(d, c);
    case DATA_CR: return expect(d, c, '\r', DATA_LF);
    case DATA_LF: return expect(d, c, '\n', SIZE);
    case LAST_LF: return expect(d, c, '\n', DONE);
    default: return is_trailer(d) ? see_trailer(d, c) : see_ext(d, c);
  }
}

/* Is the next byte one for the caller, of the body or of trailers? */
static bool is_payload (const ed_chunked *d, char c) {
  return d->state == DATA || (is_trailer(d) && !(d->state == LINE && c == '\r'));
}

static size_t take_data (ed_chunked *d, size_t have) {
  size_t n = d->left < have ? (size_t)d->left : have;
  d->left -= n;
  if (d->left == 0) d->state = DATA_CR;
  return n;
}

static size_t take_trailers (ed_chunked *d, const char *in, size_t have) {
  size_t n = 0;
  while (n < have && is_payload(d, in[n])) d->state = (uint8_t)see(d, in[n++]);
  return n;
}

static ed_chunk_event event_of (const ed_chunked *d, bool is_data, size_t taken) {
  if (d->state == FAILED) return ED_CHUNK_ERROR;
  if (taken > 0) return is_data ? ED_CHUNK_DATA : ED_CHUNK_TRAILER;
  return d->state == DONE ? ED_CHUNK_END : ED_CHUNK_MORE;
}

ed_chunk_event ed_chunked_feed (ed_chunked *decoder, const char *in, size_t len,
  size_t *used, const char **data, size_t *ndata) {
  ed_chunked *d = decoder;
  size_t at = 0;
  bool is_data;
  *ndata = 0;
  while (at < len && d->state < DONE && !is_payload(d, in[at]))
    d->state = (uint8_t)see(d, in[at++]);
  *data = at > 0 ? in + at : in;
  is_data = d->state == DATA;
  if (at < len && d->state < DONE)
    *ndata = is_data ? take_data(d, len - at) : take_trailers(d, in + at, len - at);
  *used = at + *ndata;
  return event_of(d, is_data, *ndata);
}

size_t ed_chunked_line (char to[ED_CHUNK_LINE], uint64_t size) {
  size_t digits = 1;
  size_t n = 0;
  while (digits < MAX_DIGITS && size >> (4 * digits) != 0) digits++;
  while (n < digits) {
    to[n] = "0123456789abcdef"[size >> (4 * (digits - n - 1)) & 15];
    n++;
  }
  memcpy(to + n, "\r\n", 2);
  return n + 2;
}
