/* SPDX-License-Identifier: MIT */
/*
** The chunked coding: the first byte chooses the limits and where the input is cut. At once and
** in pieces the same must come out; trailers that pass are fields; a body encoded anew decodes
** to itself.
*/
#include "proto/chunked.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/http1.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

typedef struct outcome {
  ed_chunk_event last;
  int error;
  size_t used;
  size_t nbody;
  size_t ntrailers;
  char *body;
  char *trailers;
} outcome;

static void must (bool ok) {
  if (!ok) abort();
}

static char *reserve (size_t size) {
  char *block = malloc(size + 1);
  must(block != NULL);
  return block;
}

static bool is_final (const outcome *out) {
  return out->last == ED_CHUNK_END || out->last == ED_CHUNK_ERROR;
}

static void collect (char *into, size_t *n, const char *data, size_t len) {
  memcpy(into + *n, data, len);
  *n += len;
}

/* One call, from a block of exactly that size; answers how much was used. */
static size_t feed_once (
  ed_chunked *decoder, outcome *out, const char *text, size_t len) {
  char *in = reserve(len);
  const char *data;
  size_t ndata;
  size_t used;
  memcpy(in, text, len);
  out->last = ed_chunked_feed(decoder, in, len, &used, &data, &ndata);
  must(used <= len && ndata <= used);
  if (out->last == ED_CHUNK_DATA) collect(out->body, &out->nbody, data, ndata);
  if (out->last == ED_CHUNK_TRAILER) collect(out->trailers, &out->ntrailers, data, ndata);
  if (out->last == ED_CHUNK_DATA || out->last == ED_CHUNK_TRAILER)
    must(ndata > 0 && data >= in && data + ndata == in + used);
  if (out->last == ED_CHUNK_MORE) must(used == len);
  free(in);
  return used;
}

static void decode (outcome *out, const char *text, size_t len, size_t step,
  const ed_chunked_limits *limits) {
  ed_chunked decoder;
  memset(out, 0, sizeof *out);
  out->body = reserve(len);
  out->trailers = reserve(len);
  ed_chunked_init(&decoder, limits);
  for (size_t at = 0; at < len && !is_final(out);) {
    size_t n = len - at < step ? len - at : step;
    at += feed_once(&decoder, out, text + at, n);
    out->used = at;
  }
  out->error = decoder.error;
}

static void release (outcome *out) {
  free(out->body);
  free(out->trailers);
}

static void check_same (const outcome *a, const outcome *b) {
  must(is_final(a) == is_final(b) && a->error == b->error);
  if (a->error != 0) return;
  must(a->used == b->used && a->nbody == b->nbody && a->ntrailers == b->ntrailers);
  must(memcmp(a->body, b->body, a->nbody) == 0);
  must(memcmp(a->trailers, b->trailers, a->ntrailers) == 0);
}

static void check_trailers (const outcome *out) {
  ed_http1_field field[1000];
  long n = ed_http1_parse_fields(field, 1000, out->trailers, out->ntrailers);
  must(n >= 0 || n == ED_HTTP1_EHEADERS);
}

/* Encode the body again, in chunks of 'step' bytes. */
static void check_anew (
  const outcome *out, size_t step, const ed_chunked_limits *limits) {
  char *text = reserve((out->nbody + 1) * (ED_CHUNK_LINE + 3) + 5);
  size_t len = 0;
  outcome again;
  for (size_t at = 0; at < out->nbody; at += step) {
    size_t n = out->nbody - at < step ? out->nbody - at : step;
    len += ed_chunked_line(text + len, n);
    memcpy(text + len, out->body + at, n);
    memcpy(text + len + n, "\r\n", 2);
    len += n + 2;
  }
  memcpy(text + len, ED_CHUNK_LAST, 5);
  decode(&again, text, len + 5, len + 5, limits);
  must(again.last == ED_CHUNK_END && again.used == len + 5);
  must(again.nbody == out->nbody && memcmp(again.body, out->body, again.nbody) == 0);
  release(&again);
  free(text);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  const ed_chunked_limits small = {16, 32};
  const ed_chunked_limits *limits;
  const char *text = (const char *)data + 1;
  outcome out;
  outcome other;
  size_t step;
  if (size == 0) return 0;
  limits = data[0] & 1 ? &ed_chunked_server_limits : &small;
  step = 1 + (data[0] >> 1) % 31;
  decode(&out, text, size - 1, size, limits);
  decode(&other, text, size - 1, step, limits);
  check_same(&out, &other);
  if (out.last == ED_CHUNK_END) {
    check_trailers(&out);
    check_anew(&out, step, limits);
  }
  release(&other);
  release(&out);
  return 0;
}
