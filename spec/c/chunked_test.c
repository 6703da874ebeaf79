/* SPDX-License-Identifier: MIT */
/*
** The chunked coding: bodies and trailers, all that is refused, limits to the byte. Each input
** is fed at once, byte by byte and cut in two at each place, in blocks of exactly its size, and
** must give the same each time.
*/
#include "proto/chunked.h"

#include "proto/http1.h"
#include "test.h"

#define T(s) s, sizeof s - 1

/* What came out of a decoder in all. */
typedef struct outcome {
  ed_chunk_event last;
  int error;
  size_t used;
  size_t calls;
  size_t nbody;
  size_t ntrailers;
  char body[4096];
  char trailers[4096];
} outcome;

static void collect (char *into, size_t *n, const char *data, size_t len) {
  if (*n + len <= 4096) memcpy(into + *n, data, len);
  *n += len;
}

/* Feed one block until it is used up or nothing more comes of it. */
static void feed (ed_chunked *decoder, outcome *out, const char *text, size_t len) {
  char *in = test_copy(text, len);
  size_t at = 0;
  do {
    const char *data;
    size_t ndata;
    size_t used;
    out->last = ed_chunked_feed(decoder, in + at, len - at, &used, &data, &ndata);
    CHECK(used <= len - at && ndata <= used);
    CHECK((ndata > 0) >= (out->last == ED_CHUNK_DATA || out->last == ED_CHUNK_TRAILER));
    if (out->last == ED_CHUNK_DATA) collect(out->body, &out->nbody, data, ndata);
    if (out->last == ED_CHUNK_TRAILER)
      collect(out->trailers, &out->ntrailers, data, ndata);
    if (out->last == ED_CHUNK_MORE) CHECK(used == len - at);
    at += used;
    out->used += used;
    out->calls++;
  } while (at < len && out->last != ED_CHUNK_END && out->last != ED_CHUNK_ERROR);
  out->error = decoder->error;
  free(in);
}

static void decode (outcome *out, const char *text, size_t len, size_t cut,
  const ed_chunked_limits *limits) {
  ed_chunked decoder;
  memset(out, 0, sizeof *out);
  ed_chunked_init(&decoder, limits);
  feed(&decoder, out, text, cut);
  if (out->last != ED_CHUNK_END && out->last != ED_CHUNK_ERROR)
    feed(&decoder, out, text + cut, len - cut);
}

static void decode_bytewise (
  outcome *out, const char *text, size_t len, const ed_chunked_limits *limits) {
  ed_chunked decoder;
  memset(out, 0, sizeof *out);
  ed_chunked_init(&decoder, limits);
  for (size_t i = 0; i < len && out->last != ED_CHUNK_END && out->last != ED_CHUNK_ERROR;
       i++)
    feed(&decoder, out, text + i, 1);
}

static bool is_final (const outcome *out) {
  return out->last == ED_CHUNK_END || out->last == ED_CHUNK_ERROR;
}

/* After an error only the error counts: less of the data may have come out. */
static bool is_same (const outcome *a, const outcome *b) {
  if (is_final(a) != is_final(b) || a->error != b->error) return false;
  if (a->error != 0) return true;
  return a->used == b->used && a->nbody == b->nbody && a->ntrailers == b->ntrailers
    && memcmp(a->body, b->body, a->nbody) == 0
    && memcmp(a->trailers, b->trailers, a->ntrailers) == 0;
}

/* The outcome, however the bytes come. */
static void decode_in_all_ways (
  outcome *out, const char *text, size_t len, const ed_chunked_limits *limits) {
  outcome other;
  decode(out, text, len, len, limits);
  decode_bytewise(&other, text, len, limits);
  CHECK_FOR(text, is_same(out, &other));
  for (size_t cut = 0; cut < len; cut++) {
    decode(&other, text, len, cut, limits);
    CHECK_FOR(text, is_same(out, &other));
  }
}

typedef struct good {
  const char *text;
  size_t len;
  const char *body;
  const char *trailers;
  size_t rest;
} good;

static const good goods[] = {
  {T("0\r\n\r\n"), "", "", 0},
  {T("00000\r\n\r\n"), "", "", 0},
  {T("5\r\nhello\r\n0\r\n\r\n"), "hello", "", 0},
  {T("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1"), "hello", "", 14},
  {T("1\r\na\r\n2\r\nbc\r\n003\r\ndef\r\n0\r\n\r\n0\r\n\r\n"), "abcdef", "", 5},
  {T("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", "", 0},
  {T("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n"), "x", "", 0},
  {T("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "\r\n\r\n", "", 0},
  {T("1;a\r\nx\r\n0;b;c\r\n\r\n"), "x", "", 0},
  {T("1;a=b;c=\"d\\\"\\\\ ;\r\"\r\n"), NULL, NULL, 0},
  {T("1;a=b;c=\"d\\\"\\\\ ;\t\xff\";e\r\nx\r\n0\r\n\r\n"), "x", "", 0},
  {T("1;a=\"\"\r\nx\r\n0\r\n\r\n"), "x", "", 0},
  {T("0\r\nA: b\r\n\r\nrest"), "", "A: b\r\n", 4},
  {T("1\r\nx\r\n0\r\nA:\r\nDigest:  x \xff\ty \r\n\r\n"), "x",
    "A:\r\nDigest:  x \xff\ty \r\n", 0},
};

static void decodes (void) {
  for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
    const good *want = &goods[i];
    outcome out;
    decode_in_all_ways(&out, want->text, want->len, &ed_chunked_server_limits);
    if (want->body == NULL) {
      CHECK_EQ_FOR(want->text, out.last, ED_CHUNK_ERROR);
      continue;
    }
    CHECK_EQ_FOR(want->text, out.last, ED_CHUNK_END);
    CHECK_TEXT(out.body, out.nbody, want->body);
    CHECK_TEXT(out.trailers, out.ntrailers, want->trailers);
    CHECK_EQ_FOR(want->text, want->len - out.used, want->rest);
  }
}

typedef struct bad {
  const char *text;
  size_t len;
} bad;

static const bad bads[] = {
  {T("\r\n")},
  {T("\n")},
  {T(" ")},
  {T("x")},
  {T("-1\r\n")},
  {T("+1\r\n")},
  {T("0x1\r\n")},
  {T("1h\r\n")},
  {T(" 1\r\n")},
  {T("1 \r\n")},
  {T("1\t\r\n")},
  {T("1\n")},
  {T("1\rx")},
  {T("1\r\r\n")},
  {T("1 1\r\n")},
  {T("1,1\r\n")},
  {T("1\0\r\n")},
  {T(";a\r\n")},
  {T("8000000000000000\r\n")},
  {T("ffffffffffffffff\r\n")},
  {T("10000000000000000\r\n")},
  {T("00000000000000001\r\n")},
  {T("1;\r\n")},
  {T("1;;\r\n")},
  {T("1; a\r\n")},
  {T("1 ;a\r\n")},
  {T("1;a \r\n")},
  {T("1;a=\r\n")},
  {T("1;a= b\r\n")},
  {T("1;a==b\r\n")},
  {T("1;=b\r\n")},
  {T("1;a\n")},
  {T("1;a\rb")},
  {T("1;a=\"b\r\n")},
  {T("1;a=\"b\n\"\r\n")},
  {T("1;a=\"b\\\r\n")},
  {T("1;a=\"b\"c\r\n")},
  {T("1;a=b\"\r\n")},
  {T("1;a\0\r\n")},
  {T("1;\xff\r\n")},
  {T("1\r\nab")},
  {T("1\r\na\n")},
  {T("1\r\na\r1")},
  {T("1\r\na1\r\n")},
  {T("1\r\na\r\n\r\n")},
  {T("1\r\na\r\n;")},
  {T("0\r\n\n")},
  {T("0\r\n\rx")},
  {T("0\r\n A: b\r\n")},
  {T("0\r\nA : b\r\n")},
  {T("0\r\n: b\r\n")},
  {T("0\r\nA\r\n")},
  {T("0\r\nA: b\n")},
  {T("0\r\nA: b\rc")},
  {T("0\r\nA: b\r\n c\r\n")},
  {T("0\r\nA: \0\r\n")},
  {T("0\r\nA: b\r\n\n")},
  {T("0\r\nGET / HTTP/1.1\r\n")},
};

static void refuses (void) {
  for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
    outcome out;
    decode_in_all_ways(&out, bads[i].text, bads[i].len, &ed_chunked_server_limits);
    CHECK_EQ_FOR(bads[i].text, out.last, ED_CHUNK_ERROR);
    CHECK_EQ_FOR(bads[i].text, out.error, ED_HTTP1_EFRAMING);
  }
}

/* Without its last byte no body is complete, and none is refused. */
static void waits_for_the_end (void) {
  for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
    size_t len = goods[i].len - goods[i].rest;
    for (size_t n = 0; goods[i].body != NULL && n < len; n++) {
      outcome out;
      decode(&out, goods[i].text, n, n, &ed_chunked_server_limits);
      CHECK_FOR(goods[i].text, !is_final(&out));
    }
  }
}

static void stays_at_its_end (void) {
  ed_chunked decoder;
  outcome out = {0};
  ed_chunked_init(&decoder, &ed_chunked_client_limits);
  feed(&decoder, &out, T("0\r\n\r\n"));
  feed(&decoder, &out, T("5\r\nhello"));
  CHECK(out.last == ED_CHUNK_END && out.used == 5);
  feed(&decoder, &out, "", 0);
  CHECK_EQ(out.last, ED_CHUNK_END);
  ed_chunked_init(&decoder, &ed_chunked_client_limits);
  feed(&decoder, &out, T("x"));
  out.used = 0;
  feed(&decoder, &out, T("5\r\nhello"));
  CHECK(out.last == ED_CHUNK_ERROR && out.used == 0 && out.error == ED_HTTP1_EFRAMING);
}

/* The largest size; nobody can send that much, so count down from it. */
static void takes_the_largest_size (void) {
  ed_chunked decoder;
  outcome out = {0};
  ed_chunked_init(&decoder, &ed_chunked_client_limits);
  feed(&decoder, &out, T("7fffffffffffffff\r\nabc"));
  CHECK_EQ(out.nbody, 3);
  CHECK_EQ((long long)decoder.left, INT64_MAX - 3);
}

/* ---- Limits, to the byte ---- */

static void limits_extensions (void) {
  const ed_chunked_limits limits = {4, 100};
  outcome out;
  decode_in_all_ways(&out, T("1;abc\r\nx\r\n1;a=b\r\ny\r\n0\r\n\r\n"), &limits);
  CHECK_EQ(out.last, ED_CHUNK_END);
  decode_in_all_ways(&out, T("1;abcd\r\n"), &limits);
  CHECK_EQ(out.error, ED_HTTP1_EHEADERS);
  decode_in_all_ways(&out, T("1;a;bc\r\n"), &limits);
  CHECK_EQ(out.error, ED_HTTP1_EHEADERS);
  decode_in_all_ways(&out, T("1;a=\"bcdefg"), &limits);
  CHECK_EQ(out.error, ED_HTTP1_EHEADERS);
}

static void limits_trailers (void) {
  const ed_chunked_limits limits = {100, 12};
  outcome out;
  decode_in_all_ways(&out, T("0\r\nA: b\r\nC: d\r\n\r\n"), &limits);
  CHECK_EQ(out.last, ED_CHUNK_END);
  decode_in_all_ways(&out, T("0\r\nA: b\r\nC: de\r\n\r\n"), &limits);
  CHECK_EQ(out.error, ED_HTTP1_EHEADERS);
  decode_in_all_ways(&out, T("0\r\nA: b\r\nC:\r\nE:"), &limits);
  CHECK_EQ(out.last, ED_CHUNK_MORE);
  decode_in_all_ways(&out, T("0\r\nA: b\r\nC:\r\nE:f"), &limits);
  CHECK_EQ(out.error, ED_HTTP1_EHEADERS);
  CHECK_EQ(ed_chunked_client_limits.trailers, 16384);
  CHECK_EQ(ed_chunked_server_limits.trailers, 16384);
  CHECK_EQ(ed_chunked_server_limits.extension, 256);
  CHECK_EQ(ed_chunked_client_limits.extension, 4080);
}

/* ---- Encoding ---- */

static void writes_sizes (void) {
  char line[ED_CHUNK_LINE];
  CHECK_TEXT(line, ed_chunked_line(line, 0), "0\r\n");
  CHECK_TEXT(line, ed_chunked_line(line, 1), "1\r\n");
  CHECK_TEXT(line, ed_chunked_line(line, 15), "f\r\n");
  CHECK_TEXT(line, ed_chunked_line(line, 16), "10\r\n");
  CHECK_TEXT(line, ed_chunked_line(line, 0xabc0), "abc0\r\n");
  CHECK_TEXT(line, ed_chunked_line(line, UINT64_MAX), "ffffffffffffffff\r\n");
}

/* Chunks of all sizes up to 300, as a server would send them, in one go. */
static void understands_itself (void) {
  enum { CHUNKS = 300, ROOM = CHUNKS * (CHUNKS + 20) };
  char *text = malloc(ROOM);
  char line[ED_CHUNK_LINE];
  outcome *out = calloc(1, sizeof *out);
  size_t len = 0;
  for (size_t size = 1; size <= CHUNKS; size++) {
    size_t n = ed_chunked_line(line, size);
    memcpy(text + len, line, n);
    memset(text + len + n, 'x', size);
    memcpy(text + len + n + size, "\r\n", 2);
    len += n + size + 2;
  }
  memcpy(text + len, ED_CHUNK_LAST, 5);
  decode(out, text, len + 5, len + 5, &ed_chunked_server_limits);
  CHECK_EQ(out->last, ED_CHUNK_END);
  CHECK_EQ(out->used, len + 5);
  CHECK_EQ(out->nbody, CHUNKS * (CHUNKS + 1) / 2);
  CHECK_EQ(out->calls, CHUNKS + 1); /* one event for each chunk, one for the end */
  free(out);
  free(text);
}

int main (void) {
  decodes();
  refuses();
  waits_for_the_end();
  stays_at_its_end();
  takes_the_largest_size();
  limits_extensions();
  limits_trailers();
  writes_sizes();
  understands_itself();
  return test_report();
}
