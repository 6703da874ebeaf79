/* SPDX-License-Identifier: MIT */
/*
** Heads: the first byte chooses request or response and where the input is cut. The end must be
** found at the same place however the bytes come; all spans lie in the head, in order, and hold
** what their class allows; a head written anew from its spans parses to the same.
*/
#include "proto/http1.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

enum { MAXFIELDS = 64 };

static const ed_http1_limits limits = {512, 4096, MAXFIELDS};

static void must (bool ok) {
  if (!ok) abort();
}

static char *copy_of (const char *text, size_t len) {
  char *copy = malloc(len > 0 ? len : 1);
  must(copy != NULL);
  if (len > 0) memcpy(copy, text, len);
  return copy;
}

static long find_end (
  ed_http1_scan *scan, const char *text, size_t len, bool is_request) {
  char *copy = copy_of(text, len);
  long end = is_request ? ed_http1_request_end(scan, copy, len, &limits)
                        : ed_http1_response_end(scan, copy, len, &limits);
  must(scan->seen <= len && scan->line <= scan->seen && scan->lines <= MAXFIELDS + 1);
  must(end <= (long)len);
  free(copy);
  return end;
}

/* At once, in steps of 'step' bytes, and once more after the end. */
static long find_end_both_ways (
  const char *text, size_t len, size_t step, bool is_request) {
  ed_http1_scan scan = {0};
  ed_http1_scan again = {0};
  long end = find_end(&scan, text, len, is_request);
  long found = 0;
  for (size_t n = step; found == 0 && n < len; n += step)
    found = find_end(&again, text, n, is_request);
  if (found == 0) found = find_end(&again, text, len, is_request);
  must(found == end);
  must(end == 0 || find_end(&scan, text, len, is_request) == end);
  return end;
}

/* How the input is to be read, from its first byte. */
typedef struct choice {
  bool is_request;
  ed_http1_asked asked;
  size_t step;
} choice;

static int parse (ed_http1_head *head, char *text, size_t len, choice how) {
  int code = how.is_request ? ed_http1_parse_request(head, text, len)
                            : ed_http1_parse_response(head, text, len, how.asked);
  must(ed_http1_error_text(code) != NULL && ed_http1_error_code(code) != NULL);
  must(code == ED_HTTP1_OK || ed_http1_error_status(code) >= 400);
  return code;
}

static void check_fields (const ed_http1_head *head, const char *text, size_t len) {
  uint32_t at = 0;
  for (uint32_t i = 0; i < head->nfields; i++) {
    const ed_http1_field *field = &head->field[i];
    must(field->name.at >= at && field->value.at > field->name.at + field->name.len);
    at = field->value.at + field->value.len;
    must(at + 4 <= len);
    must(ed_http1_is_token(text + field->name.at, field->name.len));
    must(ed_http1_is_value(text + field->value.at, field->value.len));
    if (ed_http1_is(text, field->value, "close"))
      must(ed_http1_lists(text, field->value, "close"));
  }
}

static void check_request (const ed_http1_head *head, const char *text) {
  must(ed_http1_is_token(text + head->method.at, head->method.len));
  must(ed_http1_is_target(text + head->target.at, head->target.len));
  must(head->target.at == head->method.at + head->method.len + 1);
  must(head->framing != ED_HTTP1_UNTIL_CLOSE);
  must(ed_http1_find(head, text, "host") != NULL || head->minor == 0);
}

static void check_framing (const ed_http1_head *head, const char *text) {
  bool has_coding = ed_http1_find(head, text, "transfer-encoding") != NULL;
  bool has_length = ed_http1_find(head, text, "content-length") != NULL;
  must(!(has_coding && has_length) && head->length <= INT64_MAX);
  must(head->framing != ED_HTTP1_CHUNKED || has_coding);
  must(head->framing != ED_HTTP1_LENGTH || has_length);
}

static char *put (char *to, const char *text, ed_span piece, const char *after) {
  memcpy(to, text + piece.at, piece.len);
  to += piece.len;
  memcpy(to, after, strlen(after));
  return to + strlen(after);
}

/* Up to the version, or to the end of the reason. */
static ed_span first_line (const ed_http1_head *head, bool is_request) {
  uint32_t end = head->target.at + head->target.len + 9;
  if (!is_request) end = head->reason.at > 0 ? head->reason.at + head->reason.len : 12;
  return (ed_span){head->method.at, end - head->method.at};
}

/* The first line as it was, then each field anew. */
static size_t write_anew (
  char *to, const ed_http1_head *head, const char *text, bool is_request) {
  char *at = put(to, text, first_line(head, is_request), "\r\n");
  for (uint32_t i = 0; i < head->nfields; i++) {
    at = put(at, text, head->field[i].name, ": ");
    at = put(at, text, head->field[i].value, "\r\n");
  }
  memcpy(at, "\r\n", 2);
  return (size_t)(at - to) + 2;
}

static void check_same (const ed_http1_head *a, const ed_http1_head *b) {
  must(a->nfields == b->nfields && a->framing == b->framing && a->length == b->length);
  must(a->status == b->status && a->minor == b->minor && a->form == b->form);
  must(a->keep_alive == b->keep_alive && a->expect_continue == b->expect_continue);
  must(a->upgrade == b->upgrade && a->method.len == b->method.len);
  must(a->target.len == b->target.len && a->reason.len == b->reason.len);
  for (uint32_t i = 0; i < a->nfields; i++) {
    must(a->field[i].name.len == b->field[i].name.len);
    must(a->field[i].value.len == b->field[i].value.len);
  }
}

static void check_head (char *text, size_t len, choice how) {
  ed_http1_field field[MAXFIELDS];
  ed_http1_field field_anew[MAXFIELDS];
  ed_http1_head head = {.field = field, .maxfields = MAXFIELDS};
  ed_http1_head anew = {.field = field_anew, .maxfields = MAXFIELDS};
  char *written;
  size_t n;
  if (parse(&head, text, len, how) != ED_HTTP1_OK) return;
  check_fields(&head, text, len);
  check_framing(&head, text);
  if (how.is_request) check_request(&head, text);
  written = malloc(2 * len);
  must(written != NULL);
  n = write_anew(written, &head, text, how.is_request);
  must(parse(&anew, written, n, how) == ED_HTTP1_OK);
  check_same(&head, &anew);
  must(parse(&anew, text, len, how) == ED_HTTP1_OK);
  check_same(&head, &anew);
  free(written);
}

static void check_trailers (const char *text, size_t len) {
  ed_http1_field field[MAXFIELDS];
  long n = ed_http1_parse_fields(field, MAXFIELDS, text, len);
  for (long i = 0; i < n; i++) {
    must(ed_http1_is_token(text + field[i].name.at, field[i].name.len));
    must(field[i].value.at + field[i].value.len + 2 <= len);
  }
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  const char *text = (const char *)data + 1;
  choice how;
  long end;
  char *copy;
  if (size == 0) return 0;
  how.is_request = data[0] & 1;
  how.asked = (ed_http1_asked)((data[0] >> 1) % 3);
  how.step = 1 + (data[0] >> 1) % 97;
  end = find_end_both_ways(text, size - 1, how.step, how.is_request);
  copy = copy_of(text, size - 1);
  check_trailers(copy, size - 1);
  check_head(copy, end > 0 ? (size_t)end : size - 1, how);
  free(copy);
  return 0;
}
