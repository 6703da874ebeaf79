/* SPDX-License-Identifier: MIT */
/*
** For the tests of heads: judge a text as a request or a response. Its end is searched at once,
** byte by byte and cut in two at each place, in blocks of exactly its size, and must be found
** (or refused) the same each time; then it is parsed.
*/
#ifndef ED_HTTP1_JUDGE_H
#define ED_HTTP1_JUDGE_H

#include "proto/http1.h"

#include "test.h"

#define T(s) s, sizeof s - 1

enum { MORE = 1, MAXFIELDS = 200 };

typedef struct judged {
  ed_http1_head head;
  ed_http1_field field[MAXFIELDS];
  char *text; /* a copy, changed by unfolding */
} judged;

typedef long find_end (
  ed_http1_scan *scan, const char *bytes, size_t len, const ed_http1_limits *limits);

/* Give the first 'len' bytes in a block of their own. */
static inline long feed_prefix (find_end *find, ed_http1_scan *scan, const char *text,
  size_t len, const ed_http1_limits *limits) {
  char *copy = test_copy(text, len);
  long found = find(scan, copy, len, limits);
  free(copy);
  return found;
}

static inline long find_bytewise (
  find_end *find, const char *text, size_t len, const ed_http1_limits *limits) {
  ed_http1_scan scan = {0};
  long found = 0;
  for (size_t n = 0; n <= len && found == 0; n++)
    found = feed_prefix(find, &scan, text, n, limits);
  return found;
}

static inline long find_in_two (find_end *find, const char *text, size_t cut, size_t len,
  const ed_http1_limits *limits) {
  ed_http1_scan scan = {0};
  long found = feed_prefix(find, &scan, text, cut, limits);
  return found != 0 ? found : feed_prefix(find, &scan, text, len, limits);
}

/* The end, however the bytes come. */
static inline long find_in_all_ways (
  find_end *find, const char *text, size_t len, const ed_http1_limits *limits) {
  ed_http1_scan scan = {0};
  long found = feed_prefix(find, &scan, text, len, limits);
  CHECK_EQ_FOR(text, find_bytewise(find, text, len, limits), found);
  for (size_t cut = 0; cut < len; cut++)
    CHECK_EQ_FOR(text, find_in_two(find, text, cut, len, limits), found);
  CHECK_EQ_FOR(text, found != 0 ? feed_prefix(find, &scan, text, len, limits) : 0, found);
  return found;
}

/* ED_HTTP1_OK, a code, or MORE. The copy is for the caller to free. */
static inline int judge (
  judged *got, find_end *find, const char *text, size_t len, int asked) {
  long end = find_in_all_ways(find, text, len, &ed_http1_server_limits);
  got->text = NULL;
  if (end <= 0) return end == 0 ? MORE : (int)end;
  got->text = test_copy(text, (size_t)end);
  got->head.field = got->field;
  got->head.maxfields = MAXFIELDS;
  if (find == ed_http1_request_end)
    return ed_http1_parse_request(&got->head, got->text, (size_t)end);
  return ed_http1_parse_response(
    &got->head, got->text, (size_t)end, (ed_http1_asked)asked);
}

static inline int judge_request (judged *got, const char *text, size_t len) {
  return judge(got, ed_http1_request_end, text, len, 0);
}

static inline int judge_response (judged *got, const char *text, size_t len, int asked) {
  return judge(got, ed_http1_response_end, text, len, asked);
}

#define CHECK_SPAN(got, span, want) \
  CHECK_TEXT((got)->text + (got)->head.span.at, (got)->head.span.len, want)

static inline void check_field (
  const judged *got, uint32_t i, const char *name, const char *value) {
  const ed_http1_field *field = &got->field[i];
  CHECK_TEXT(got->text + field->name.at, field->name.len, name);
  CHECK_TEXT(got->text + field->value.at, field->value.len, value);
}

typedef struct fate {
  const char *text;
  size_t len;
  int code;
} fate;

#endif
