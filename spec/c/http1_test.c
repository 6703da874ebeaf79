/* SPDX-License-Identifier: MIT */
/*
** Heads of requests: what they fall apart into and all that is refused; limits to the byte; and
** the small functions about names, values and lists. Responses are in http1_response_test.c.
*/
#include "http1_judge.h"

#define OK "HTTP/1.1 200 OK\r\n"

static void takes_a_request_apart (void) {
  static const char text[] =
    "POST /a/b?c=d HTTP/1.1\r\nHost: example.org:8080\r\nX-Empty:\r\nX-Blank: \t \r\n"
    "content-LENGTH:\t12 \r\nx!#$%&'*+-.^_`|~9: a\tb \xff \"()\r\n\r\nrest";
  judged got;
  if (!CHECK_EQ(judge_request(&got, T(text)), ED_HTTP1_OK)) return;
  CHECK_SPAN(&got, method, "POST");
  CHECK_SPAN(&got, target, "/a/b?c=d");
  CHECK_SPAN(&got, host, "example.org:8080");
  CHECK_EQ(got.head.form, ED_HTTP1_ORIGIN);
  CHECK_EQ(got.head.minor, 1);
  CHECK_EQ(got.head.nfields, 5);
  CHECK_EQ(got.head.framing, ED_HTTP1_LENGTH);
  CHECK_EQ((long)got.head.length, 12);
  CHECK(got.head.keep_alive && !got.head.upgrade && !got.head.expect_continue);
  check_field(&got, 0, "Host", "example.org:8080");
  check_field(&got, 1, "X-Empty", "");
  check_field(&got, 2, "X-Blank", "");
  check_field(&got, 3, "content-LENGTH", "12");
  check_field(&got, 4, "x!#$%&'*+-.^_`|~9", "a\tb \xff \"()");
  free(got.text);
}

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define HEAD GET HOST
#define POST "POST / HTTP/1.1\r\n" HOST

/* Accepted, or refused with a code; nearly each is one line away from being right. */
static const fate requests[] = {
  {T(HEAD "\r\n"), ED_HTTP1_OK},
  {T("\r\n\r\n" HEAD "\r\n"), ED_HTTP1_OK},
  {T("GET / HTTP/1.0\r\n\r\n"), ED_HTTP1_OK},
  {T("GET / HTTP/1.0\r\nHost:\r\n\r\n"), ED_HTTP1_OK},
  {T(GET "Host:\r\n\r\n"), ED_HTTP1_OK},
  {T(GET "HOST:[::1]:80\r\n\r\n"), ED_HTTP1_OK},
  {T("FOO-bar!1 /"
     " HTTP/1.1\r\n" HOST "\r\n"),
    ED_HTTP1_OK},
  {T("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_OK},
  {T("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_OK},
  {T("GET http://a/b?c HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_OK},
  {T("GET //a{|}[]\"<>^`\\?? HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_OK},
  /* the first line */
  {T(""), MORE},
  {T("G"), MORE},
  {T("\r"), MORE},
  {T("\r\n\r\n"), MORE},
  {T(GET), MORE},
  {T(HEAD "\r"), MORE},
  {T("\n"), ED_HTTP1_EHEAD},
  {T(" "), ED_HTTP1_EHEAD},
  {T("\x16\x03\x01\x02\x00\x01"), ED_HTTP1_EHEAD},
  {T("\0"), ED_HTTP1_EHEAD},
  {T("{"), ED_HTTP1_EHEAD},
  {T("\r\n "), ED_HTTP1_EHEAD},
  {T("\r" HEAD "\r\n"), ED_HTTP1_EHEAD},
  {T("SSH-2.0-OpenSSH_9\r\n"), ED_HTTP1_EHEAD},
  {T("EHLO a\r\n"), ED_HTTP1_EHEAD},
  {T("GET /\r\n"), ED_HTTP1_EHEAD},
  {T("GET /\r\n\r\n"), ED_HTTP1_EHEAD},
  {T("GET / HTTP/1.1\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET / HTTP/1.1\r" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET / HTTP/1.1 \r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET / HTTP/1.10\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET / HTTP/01.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET / HTTP/1,1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET / http/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET / HTTP/1.\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET /HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET  / HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET /  HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET / x HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET /\tHTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET  HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T(" GET / HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("G(T / HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET: / HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET /\x7f HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET /\xc3\xbc HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET /#f HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET a HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET * HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET http:///x HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET a:443 HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("CONNECT / HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("CONNECT a HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("CONNECT a:0 HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("CONNECT http://a:1/ HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("CONNECT u@a:1 HTTP/1.1\r\n" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T("GET / HTTP/2.0\r\n" HOST "\r\n"), ED_HTTP1_EVERSION},
  {T("GET / HTTP/1.2\r\n" HOST "\r\n"), ED_HTTP1_EVERSION},
  {T("GET / HTTP/0.9\r\n" HOST "\r\n"), ED_HTTP1_EVERSION},
  {T("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ED_HTTP1_EVERSION},
  /* fields */
  {T(GET " " HOST "\r\n"), ED_HTTP1_EHEAD},
  {T(GET "\t" HOST "\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A : b\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A\t: b\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD ": b\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A B: c\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A\0: c\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "(A): c\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "\xc3\xbc: c\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\r\n c\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\r\n\tc\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\r\n \r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\r\n\n"), ED_HTTP1_EHEAD},
  {T(HEAD "\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\rC: d\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\r\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "\r\r\n"), MORE},
  {T(HEAD "\r\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: \0\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\x01\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\x7f\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(HEAD "A: b\x0b\r\n\r\n"), ED_HTTP1_EHEAD},
  /* Host */
  {T(GET "\r\n"), ED_HTTP1_EHOST},
  {T(GET "Hosts: a\r\n\r\n"), ED_HTTP1_EHOST},
  {T(HEAD HOST "\r\n"), ED_HTTP1_EHOST},
  {T(HEAD "hOST: b\r\n\r\n"), ED_HTTP1_EHOST},
  {T(HEAD HOST HOST "\r\n"), ED_HTTP1_EHOST},
  {T("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), ED_HTTP1_EHOST},
  {T(GET "Host: a b\r\n\r\n"), ED_HTTP1_EHOST},
  {T(GET "Host: a/b\r\n\r\n"), ED_HTTP1_EHOST},
  {T(GET "Host: u@a\r\n\r\n"), ED_HTTP1_EHOST},
  {T(GET "Host: a:x\r\n\r\n"), ED_HTTP1_EHOST},
  {T(GET "Host: \xc3\xbc\r\n\r\n"), ED_HTTP1_EHOST},
  {T(GET "Host: [::1\r\n\r\n"), ED_HTTP1_EHOST},
  /* framing */
  {T(POST "Content-Length: 0\r\n\r\n"), ED_HTTP1_OK},
  {T(POST "Content-Length: 007\r\n\r\n"), ED_HTTP1_OK},
  {T(POST "Content-Length: 9223372036854775807\r\n\r\n"), ED_HTTP1_OK},
  {T(POST "Content-Length: 9223372036854775808\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 18446744073709551616\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 99999999999999999999\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length:\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: +5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: -5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 0x5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 5a\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 5 5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 5.0\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 5 ,5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 5, 5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 5\r\ncontent-length: 5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: \xb2\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: chunked\r\n\r\n"), ED_HTTP1_OK},
  {T(POST "transfer-encoding:\tCHUNKED\t\r\n\r\n"), ED_HTTP1_OK},
  {T(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: chunked,\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: ,chunked\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: chunked;a=b\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: xchunked\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: chunkedx\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: chunke\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: identity\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding:\r\n\r\n"), ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n"),
    ED_HTTP1_EHEAD},
  {T(POST "Transfer-Encoding : chunked\r\n\r\n"), ED_HTTP1_EHEAD},
  {T(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ED_HTTP1_EFRAMING},
  {T(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ED_HTTP1_EFRAMING},
  {T("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), ED_HTTP1_EFRAMING},
};

static void judges_requests (void) {
  for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
    judged got;
    int code = judge_request(&got, requests[i].text, requests[i].len);
    CHECK_EQ_FOR(requests[i].text, code, requests[i].code);
    free(got.text);
  }
}

/* Each byte that is not of its class, at each place of a head, in turn. */
static void refuses_control_bytes_everywhere (void) {
  static const char text[] = "GET /path HTTP/1.1\r\nHost: a\r\nName: value\r\n\r\n";
  for (int c = 0; c < 128; c++) {
    for (size_t at = 0; (c < ' ' || c == 127) && c != '\t' && at < sizeof text - 1;
         at++) {
      char changed[sizeof text];
      ed_http1_scan scan = {0};
      ed_http1_field field[4];
      ed_http1_head head = {.field = field, .maxfields = 4};
      long end;
      memcpy(changed, text, sizeof text);
      if (changed[at] == c) continue;
      changed[at] = (char)c;
      end = ed_http1_request_end(
        &scan, changed, sizeof text - 1, &ed_http1_server_limits);
      if (end > 0)
        CHECK_FOR(text + at, ed_http1_parse_request(&head, changed, (size_t)end) < 0);
      else CHECK_FOR(text + at, end < 0 || at >= sizeof text - 5);
    }
  }
}

typedef struct habit {
  const char *text;
  size_t len;
  bool keep_alive;
  bool upgrade;
  bool expects;
} habit;

static const habit habits[] = {
  {T(HEAD "\r\n"), true, false, false},
  {T(HEAD "Connection: close\r\n\r\n"), false, false, false},
  {T(HEAD "connection: x , CLOSE\t,y\r\n\r\n"), false, false, false},
  {T(HEAD "Connection: closed, not-close\r\n\r\n"), true, false, false},
  {T(HEAD "Connection: keep-alive\r\nConnection: close\r\n\r\n"), false, false, false},
  {T(HEAD "Connection: ,,\r\n\r\n"), true, false, false},
  {T(HEAD "Proxy-Connection: close\r\n\r\n"), true, false, false},
  {T("GET / HTTP/1.0\r\n\r\n"), false, false, false},
  {T("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), true, false, false},
  {T("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), false, false, false},
  {T(HEAD "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), true, true, false},
  {T(HEAD "Connection: keep-alive, upgrade\r\nUpgrade: x\r\n\r\n"), true, true, false},
  {T(HEAD "Upgrade: websocket\r\n\r\n"), true, false, false},
  {T(HEAD "Connection: Upgrade\r\n\r\n"), true, false, false},
  {T("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), false, false, false},
  {T(HEAD "Expect: 100-Continue\r\n\r\n"), true, false, true},
  {T(HEAD "Expect: 200-ok\r\n\r\n"), true, false, false},
  {T("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), false, false, false},
};

static void knows_habits (void) {
  for (size_t i = 0; i < sizeof habits / sizeof habits[0]; i++) {
    const habit *want = &habits[i];
    judged got;
    if (!CHECK_EQ_FOR(want->text, judge_request(&got, want->text, want->len), 0))
      continue;
    CHECK_EQ_FOR(want->text, got.head.keep_alive, want->keep_alive);
    CHECK_EQ_FOR(want->text, got.head.upgrade, want->upgrade);
    CHECK_EQ_FOR(want->text, got.head.expect_continue, want->expects);
    free(got.text);
  }
}

static void frames_requests (void) {
  judged got;
  CHECK_EQ(judge_request(&got, T(POST "\r\n")), 0);
  CHECK(got.head.framing == ED_HTTP1_NOBODY && got.head.length == 0);
  free(got.text);
  CHECK_EQ(judge_request(&got, T(POST "Content-Length: 0\r\n\r\n")), 0);
  CHECK(got.head.framing == ED_HTTP1_LENGTH && got.head.length == 0);
  free(got.text);
  CHECK_EQ(judge_request(&got, T(POST "Content-Length: 9223372036854775807\r\n\r\n")), 0);
  CHECK(got.head.framing == ED_HTTP1_LENGTH && got.head.length == INT64_MAX);
  free(got.text);
  CHECK_EQ(judge_request(&got, T(POST "Transfer-Encoding: Chunked\r\n\r\n")), 0);
  CHECK(got.head.framing == ED_HTTP1_CHUNKED && got.head.length == 0);
  free(got.text);
}

static void knows_forms (void) {
  judged got;
  CHECK_EQ(judge_request(&got, T("\r\nGET https://x/y HTTP/1.1\r\n" HOST "\r\n")), 0);
  CHECK_EQ(got.head.form, ED_HTTP1_ABSOLUTE);
  CHECK_SPAN(&got, target, "https://x/y");
  CHECK_SPAN(&got, method, "GET");
  free(got.text);
  CHECK_EQ(judge_request(&got, T("CONNECT [::1]:443 HTTP/1.1\r\n" HOST "\r\n")), 0);
  CHECK_EQ(got.head.form, ED_HTTP1_AUTHORITY);
  free(got.text);
  CHECK_EQ(judge_request(&got, T("OPTIONS * HTTP/1.0\r\n\r\n")), 0);
  CHECK_EQ(got.head.form, ED_HTTP1_ASTERISK);
  CHECK_SPAN(&got, host, "");
  free(got.text);
}

/* ---- Limits, to the byte ---- */

static long end_of (const char *text, const ed_http1_limits *limits) {
  return find_in_all_ways(ed_http1_request_end, text, strlen(text), limits);
}

static void limits_lines (void) {
  const ed_http1_limits limits = {16, 100, 10};
  CHECK_EQ(end_of("GET / HTTP/1.1\r\nA: 67890123456\r\nB: c\r\n\r\n", &limits), 40);
  CHECK_EQ(end_of("GET / HTTP/1.1\r\nA: 678901234567\r\n", &limits), ED_HTTP1_EHEADERS);
  CHECK_EQ(end_of("GET / HTTP/1.1\r\nA: 67890123456\r", &limits), 0);
  CHECK_EQ(end_of("GET / HTTP/1.1\r\nA: 678901234567", &limits), 0);
  CHECK_EQ(end_of("GET / HTTP/1.1\r\nA: 6789012345678", &limits), ED_HTTP1_EHEADERS);
  CHECK_EQ(end_of("GET /x HTTP/1.1\r\n\r\n", &limits), ED_HTTP1_ETARGET);
  CHECK_EQ(end_of("GET /x HTTP/1.1\r", &limits), ED_HTTP1_ETARGET);
  CHECK_EQ(end_of("\r\n\r\nGET / HTTP/1.1\r\n\r\n", &limits), 22);
  CHECK_EQ(find_in_all_ways(ed_http1_response_end, T("HTTP/1.1 200 OKAY\r\n"), &limits),
    ED_HTTP1_EHEADERS);
}

static void limits_heads (void) {
  const ed_http1_limits limits = {30, 40, 10};
  CHECK_EQ(end_of("GET / HTTP/1.1\r\nA: 678901\r\nB: 678901\r\n\r\n", &limits), 40);
  CHECK_EQ(end_of("GET / HTTP/1.1\r\nA: 678901\r\nB: 6789012\r\n\r\n", &limits),
    ED_HTTP1_EHEADERS);
  CHECK_EQ(
    end_of("GET / HTTP/1.1\r\nA: 678901\r\nB: 6789012345", &limits), ED_HTTP1_EHEADERS);
  CHECK_EQ(
    end_of(
      "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
      &limits),
    ED_HTTP1_EHEADERS);
}

static void limits_fields (void) {
  const ed_http1_limits limits = {100, 1000, 2};
  ed_http1_field field[2];
  ed_http1_head head = {.field = field, .maxfields = 2};
  CHECK_EQ(end_of("GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n", &limits), 30);
  CHECK_EQ(
    end_of("GET / HTTP/1.1\r\nA: b\r\nC: d\r\nE: f\r\n", &limits), ED_HTTP1_EHEADERS);
  CHECK_EQ(ed_http1_parse_request(&head, T(HEAD "A: b\r\n\r\n")), ED_HTTP1_OK);
  CHECK_EQ(
    ed_http1_parse_request(&head, T(HEAD "A: b\r\nC: d\r\n\r\n")), ED_HTTP1_EHEADERS);
  head.maxfields = 0;
  head.field = NULL;
  CHECK_EQ(ed_http1_parse_request(&head, T("GET / HTTP/1.0\r\n\r\n")), ED_HTTP1_OK);
  CHECK_EQ(ed_http1_parse_request(&head, T(HEAD "\r\n")), ED_HTTP1_EHEADERS);
}

static void counts_lines (void) {
  ed_http1_scan scan = {0};
  CHECK_EQ(ed_http1_request_end(&scan, NULL, 0, &ed_http1_server_limits), 0);
  CHECK_EQ(
    ed_http1_request_end(&scan, T("\r\n" HEAD "A: b\r\n\r\n"), &ed_http1_server_limits),
    35);
  CHECK_EQ(scan.lines, 3);
  CHECK_EQ(ed_http1_client_limits.line, 65536);
  CHECK_EQ(ed_http1_client_limits.head, 262144);
  CHECK_EQ(ed_http1_client_limits.fields, 1000);
  CHECK_EQ(ed_http1_server_limits.line, 8192);
  CHECK_EQ(ed_http1_server_limits.head, 32768);
  CHECK_EQ(ed_http1_server_limits.fields, 100);
}

/* Bytes that were searched are destroyed before more come: nobody may look at them again. */
static void searches_each_byte_once (void) {
  enum { VALUES = 200000 };
  const ed_http1_limits limits = {2 * VALUES, 2 * VALUES, 10};
  size_t len = sizeof OK - 1;
  char *text = malloc(VALUES + 100);
  ed_http1_scan scan = {0};
  long found = 0;
  memcpy(text, OK "A: ", len + 3);
  memset(text + len + 3, 'x', VALUES);
  memcpy(text + len + 3 + VALUES, "\r\n\r\n", 5);
  for (size_t n = 1; found == 0 && scan.seen == n - 1 && n <= len + VALUES + 7; n++) {
    if (n > len + 1) text[n - 2] = text[n - 2] == '\r' ? '\r' : '\n';
    if (n > len + 2 && text[n - 3] != '\r') text[n - 3] = '\n';
    found = ed_http1_response_end(&scan, text, n, &limits);
  }
  CHECK_EQ(found, (long)(len + VALUES + 7));
  free(text);
}

/* ---- The rest ---- */

/* Whatever is given as a head, without a search before. */
static void parses_safely_without_an_end (void) {
  static const char text[] = HEAD "A: b\r\n\r\n";
  for (size_t n = 0; n < sizeof text; n++) {
    char *copy = test_copy(text, n);
    ed_http1_field field[4];
    ed_http1_head head = {.field = field, .maxfields = 4};
    CHECK_EQ(
      ed_http1_parse_request(&head, copy, n), n == sizeof text - 1 ? 0 : ED_HTTP1_EHEAD);
    CHECK(ed_http1_parse_response(&head, copy, n, 0) < 0);
    free(copy);
  }
}

static void does_not_read_past_the_empty_line (void) {
  ed_http1_field field[4];
  ed_http1_head head = {.field = field, .maxfields = 4};
  CHECK_EQ(ed_http1_parse_request(&head, T(HEAD "\r\nA: b\r\n\r\n")), ED_HTTP1_EHEAD);
  CHECK_EQ(ed_http1_parse_request(&head, T("\r\n\r\n")), ED_HTTP1_EHEAD);
}

static void parses_trailers (void) {
  ed_http1_field field[2];
  CHECK_EQ(ed_http1_parse_fields(field, 2, "", 0), 0);
  CHECK_EQ(ed_http1_parse_fields(field, 2, T("A: b\r\nC:d \r\n")), 2);
  CHECK(field[1].name.at == 6 && field[1].value.at == 8 && field[1].value.len == 1);
  CHECK_EQ(
    ed_http1_parse_fields(field, 2, T("A: b\r\nC:d\r\nE: f\r\n")), ED_HTTP1_EHEADERS);
  CHECK_EQ(ed_http1_parse_fields(field, 2, T("A: b")), ED_HTTP1_EHEAD);
  CHECK_EQ(ed_http1_parse_fields(field, 2, T("A: b\n")), ED_HTTP1_EHEAD);
  CHECK_EQ(ed_http1_parse_fields(field, 2, T("\n")), ED_HTTP1_EHEAD);
  CHECK_EQ(ed_http1_parse_fields(field, 2, T("A: b\r\n\r\n")), ED_HTTP1_EHEAD);
  CHECK_EQ(ed_http1_parse_fields(field, 2, T("A: b\r\n c\r\n")), ED_HTTP1_EHEAD);
  CHECK_EQ(ed_http1_parse_fields(field, 2, T("A : b\r\n")), ED_HTTP1_EHEAD);
}

static void finds_fields (void) {
  judged got;
  const ed_http1_field *field;
  CHECK_EQ(
    judge_response(&got, T(OK "Set-Cookie: a\r\nX: y\r\nset-cookie: b\r\n\r\n"), 0), 0);
  field = ed_http1_find(&got.head, got.text, "set-cookie");
  CHECK(field == &got.field[0]);
  CHECK(ed_http1_find(&got.head, got.text, "x") == &got.field[1]);
  CHECK(ed_http1_find(&got.head, got.text, "set-cooki") == NULL);
  CHECK(ed_http1_find(&got.head, got.text, "") == NULL);
  free(got.text);
}

static bool is (const char *text, const char *lower) {
  ed_span piece = {0, (uint32_t)strlen(text)};
  return ed_http1_is(text, piece, lower);
}

static bool lists (const char *text, const char *lower) {
  ed_span piece = {0, (uint32_t)strlen(text)};
  return ed_http1_lists(text, piece, lower);
}

static void compares (void) {
  CHECK(is("Ab-9[", "ab-9["));
  CHECK(is("", ""));
  CHECK(!is("a", "") && !is("", "a") && !is("ab", "a") && !is("a", "ab"));
  CHECK(!is("\r", "-") && !is("-", "\r") && !is("{", "[") && !is("@", "`"));
  CHECK(lists("a", "a") && lists("b,A", "a") && lists(" \ta , b", "a")
    && lists("b,,a,", "a"));
  CHECK(
    !lists("", "a") && !lists("ab", "a") && !lists("a b", "a") && !lists("a;q=1", "a"));
}

/* What must never be sent, byte by byte. */
static void classifies_bytes (void) {
  for (int i = 0; i < 256; i++) {
    char text[3] = {'a', (char)i, 'b'};
    bool is_visible = i > ' ' && i < 127;
    bool is_separator = is_visible && strchr("\"(),/:;<=>?@[\\]{}", i) != NULL;
    CHECK_EQ(ed_http1_is_token(text, 3), is_visible && !is_separator);
    CHECK_EQ(ed_http1_is_value(text, 3), is_visible || i == ' ' || i == '\t' || i > 127);
    CHECK_EQ(ed_http1_is_target(text, 3), is_visible && i != '#');
  }
  CHECK(
    !ed_http1_is_token("", 0) && ed_http1_is_value("", 0) && !ed_http1_is_target("", 0));
}

static void explains (void) {
  for (int code = ED_HTTP1_EHOST; code < ED_HTTP1_OK; code++) {
    CHECK(strlen(ed_http1_error_text(code)) > 5 && ed_http1_error_code(code)[0] == 'E');
    CHECK(ed_http1_error_status(code) >= 400);
  }
  CHECK_EQ(ed_http1_error_status(ED_HTTP1_EHEADERS), 431);
  CHECK_EQ(ed_http1_error_status(ED_HTTP1_ETARGET), 414);
  CHECK_EQ(ed_http1_error_status(ED_HTTP1_EVERSION), 505);
  CHECK_EQ(ed_http1_error_status(-1000), 400);
}

int main (void) {
  takes_a_request_apart();
  judges_requests();
  refuses_control_bytes_everywhere();
  knows_habits();
  frames_requests();
  knows_forms();
  limits_lines();
  limits_heads();
  limits_fields();
  counts_lines();
  searches_each_byte_once();
  parses_safely_without_an_end();
  does_not_read_past_the_empty_line();
  parses_trailers();
  finds_fields();
  compares();
  classifies_bytes();
  explains();
  return test_report();
}
