/* SPDX-License-Identifier: MIT */
/*
** Heads of responses: what is refused, what old servers are forgiven, and where the body ends.
*/
#include "http1_judge.h"

#define OK "HTTP/1.1 200 OK\r\n"

static const fate responses[] = {
  {T(OK "\r\n"), ED_HTTP1_OK},
  {T("HTTP/1.0 200 OK\r\n\r\n"), ED_HTTP1_OK},
  {T("HTTP/1.1 200\r\n\r\n"), ED_HTTP1_OK},
  {T("HTTP/1.1 200 \r\n\r\n"), ED_HTTP1_OK},
  {T("HTTP/1.1 999 \xc3\xbc\t x  \r\n\r\n"), ED_HTTP1_OK},
  {T(""), MORE},
  {T("H"), MORE},
  {T("HTTP/1."), MORE},
  {T(OK), MORE},
  {T("G"), ED_HTTP1_EHEAD},
  {T("HTTQ"), ED_HTTP1_EHEAD},
  {T("\r\n"), ED_HTTP1_EHEAD},
  {T("220 smtp.example.org ESMTP\r\n"), ED_HTTP1_EHEAD},
  {T("ICY 200 OK\r\n"), ED_HTTP1_EHEAD},
  {T("<html>"), ED_HTTP1_EHEAD},
  {T("\r\n" OK "\r\n"), ED_HTTP1_EHEAD},
  {T(" " OK "\r\n"), ED_HTTP1_EHEAD},
  {T("http/1.1 200 OK\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 \r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 20\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 2000\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 099 x\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 -20 x\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 20x x\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1  200 OK\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1\t200 OK\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 200\tOK\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 200 O\0K\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 200 O\rK\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.1 200 OK\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/1.10 200 OK\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("HTTP/2.0 200 OK\r\n\r\n"), ED_HTTP1_EVERSION},
  {T("HTTP/1.2 200 OK\r\n\r\n"), ED_HTTP1_EVERSION},
  {T("HTTP/2 200\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(OK " A: b\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(OK "A : b\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(OK "A: b\n\r\n"), ED_HTTP1_EHEAD},
  {T(OK "A: b\r\n c\rd\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(OK "A: b\r\n c\0\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(OK "A: b\r\n \r\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), ED_HTTP1_OK},
  {T(OK "Content-Length: 5, 5\r\ncontent-length: 05\r\n\r\n"), ED_HTTP1_OK},
  {T(OK "Content-Length: 5 ,\t5\r\n\r\n"), ED_HTTP1_OK},
  {T(OK "Content-Length: 5,6\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Content-Length: 5,\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Content-Length: ,5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Content-Length: 5,,5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Content-Length: ,\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Content-Length:\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Content-Length: +5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Content-Length: 1\r\n 0\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Content-Length: 9223372036854775808\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Transfer-Encoding: gzip\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), ED_HTTP1_EFRAMING},
};

static void judges_responses (void) {
  for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++) {
    judged got;
    int code = judge_response(&got, responses[i].text, responses[i].len, 0);
    CHECK_EQ_FOR(responses[i].text, code, responses[i].code);
    free(got.text);
  }
}

static void takes_a_response_apart (void) {
  static const char text[] =
    "HTTP/1.1 404 Not  Found \r\nServer: x\r\nConnection: close\r\n\r\nbody";
  judged got;
  if (!CHECK_EQ(judge_response(&got, T(text), 0), ED_HTTP1_OK)) return;
  CHECK_EQ(got.head.status, 404);
  CHECK_EQ(got.head.minor, 1);
  CHECK_SPAN(&got, reason, "Not  Found ");
  CHECK_EQ(got.head.nfields, 2);
  check_field(&got, 1, "Connection", "close");
  CHECK(!got.head.keep_alive);
  CHECK_EQ(got.head.framing, ED_HTTP1_UNTIL_CLOSE);
  free(got.text);
}

typedef struct framed {
  const char *text;
  size_t len;
  ed_http1_asked asked;
  ed_http1_framing framing;
  long length;
  bool keep_alive;
} framed;

#define LENGTH_5 "Content-Length: 5\r\n\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

static const framed bodies[] = {
  {T(OK LENGTH_5), ED_HTTP1_ASKED, ED_HTTP1_LENGTH, 5, true},
  {T(OK CHUNKED), ED_HTTP1_ASKED, ED_HTTP1_CHUNKED, 0, true},
  {T(OK "\r\n"), ED_HTTP1_ASKED, ED_HTTP1_UNTIL_CLOSE, 0, false},
  {T("HTTP/1.0 200\r\nConnection: keep-alive\r\n" LENGTH_5), ED_HTTP1_ASKED,
    ED_HTTP1_LENGTH, 5, true},
  {T("HTTP/1.0 200\r\nConnection: keep-alive\r\n\r\n"), ED_HTTP1_ASKED,
    ED_HTTP1_UNTIL_CLOSE, 0, false},
  {T("HTTP/1.0 200\r\n" LENGTH_5), ED_HTTP1_ASKED, ED_HTTP1_LENGTH, 5, false},
  {T(OK LENGTH_5), ED_HTTP1_ASKED_HEAD, ED_HTTP1_NOBODY, 0, true},
  {T(OK CHUNKED), ED_HTTP1_ASKED_HEAD, ED_HTTP1_NOBODY, 0, true},
  {T(OK "\r\n"), ED_HTTP1_ASKED_HEAD, ED_HTTP1_NOBODY, 0, true},
  {T(OK LENGTH_5), ED_HTTP1_ASKED_CONNECT, ED_HTTP1_NOBODY, 0, true},
  {T(OK CHUNKED), ED_HTTP1_ASKED_CONNECT, ED_HTTP1_NOBODY, 0, true},
  {T("HTTP/1.1 407 x\r\n" LENGTH_5), ED_HTTP1_ASKED_CONNECT, ED_HTTP1_LENGTH, 5, true},
  {T("HTTP/1.1 100 Continue\r\n\r\n"), ED_HTTP1_ASKED, ED_HTTP1_NOBODY, 0, true},
  {T("HTTP/1.1 101 x\r\n\r\n"), ED_HTTP1_ASKED, ED_HTTP1_NOBODY, 0, true},
  {T("HTTP/1.1 199\r\n" LENGTH_5), ED_HTTP1_ASKED, ED_HTTP1_NOBODY, 0, true},
  {T("HTTP/1.1 204 x\r\n" LENGTH_5), ED_HTTP1_ASKED, ED_HTTP1_NOBODY, 0, true},
  {T("HTTP/1.1 204 x\r\n" CHUNKED), ED_HTTP1_ASKED, ED_HTTP1_NOBODY, 0, true},
  {T("HTTP/1.1 304 x\r\n" LENGTH_5), ED_HTTP1_ASKED, ED_HTTP1_NOBODY, 0, true},
  {T("HTTP/1.1 205 x\r\nConnection: close\r\n" LENGTH_5), ED_HTTP1_ASKED, ED_HTTP1_LENGTH,
    5, false},
};

static void frames_responses (void) {
  for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
    const framed *want = &bodies[i];
    judged got;
    if (!CHECK_EQ_FOR(
          want->text, judge_response(&got, want->text, want->len, (int)want->asked), 0))
      continue;
    CHECK_EQ_FOR(want->text, got.head.framing, want->framing);
    CHECK_EQ_FOR(want->text, (long)got.head.length, want->length);
    CHECK_EQ_FOR(want->text, got.head.keep_alive, want->keep_alive);
    free(got.text);
  }
}

static void check_folds (const judged *got) {
  CHECK_EQ(got->head.nfields, 6);
  check_field(got, 0, "A", "b c d");
  check_field(got, 1, "Empty", "first");
  check_field(got, 2, "Blank", "x");
  check_field(got, 3, "Nothing", "");
  check_field(got, 4, "Connection", "keep-alive, close");
  check_field(got, 5, "Z", "z");
}

/* Twice, since the first parse changes the bytes. */
static void unfolds (void) {
  static const char text[] = OK "A: b \r\n  c\t\r\n\td\r\nEmpty:\r\n first\r\nBlank: "
                                "x\r\n \t\r\n \r\nNothing:\r\n \r\n"
                                "Connection: keep-alive,\r\n close\r\nZ: z\r\n\r\n";
  judged got;
  if (!CHECK_EQ(judge_response(&got, T(text), 0), ED_HTTP1_OK)) return;
  check_folds(&got);
  CHECK(!got.head.keep_alive);
  CHECK_EQ(ed_http1_parse_response(&got.head, got.text, sizeof text - 1, 0), ED_HTTP1_OK);
  check_folds(&got);
  free(got.text);
}

/* A thousand folds in a quarter of a megabyte: each byte moves once. */
static void unfolds_in_linear_time (void) {
  enum { FOLDS = 300000 };
  size_t len = sizeof OK - 1;
  char *text = malloc(len + 4 * FOLDS + 10);
  ed_http1_field field;
  ed_http1_head head = {.field = &field, .maxfields = 1};
  memcpy(text, OK "A:\r\n", len + 4);
  for (size_t i = 0; i < FOLDS; i++) memcpy(text + len + 4 + 4 * i, " x\r\n", 4);
  memcpy(text + len + 4 + 4 * FOLDS, "\r\n", 2);
  CHECK_EQ(ed_http1_parse_response(&head, text, len + 6 + 4 * FOLDS, 0), ED_HTTP1_OK);
  CHECK_EQ(field.value.len, 2 * FOLDS - 1);
  free(text);
}

int main (void) {
  judges_responses();
  takes_a_response_apart();
  frames_responses();
  unfolds();
  unfolds_in_linear_time();
  return test_report();
}
