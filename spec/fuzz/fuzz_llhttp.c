/* SPDX-License-Identifier: MIT */
/*
** Requests beside llhttp, the parser of Node.js, where a package of the system brings its sources
** (Makefile: LLHTTP). Two servers that see the end of a request at different places are what request
** smuggling lives on: what we take, it must take, and end at the same byte with as much body. We may
** refuse more. It knows fewer methods than there are, and has its own idea of targets: what it
** refuses for these alone is no disagreement.
*/
#define _GNU_SOURCE /* strcasestr */
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

#include "proto/chunked.h"
#include "proto/http1.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

enum { MAXFIELDS = 64 };

typedef enum verdict { TAKEN, UNFINISHED, REFUSED, NO_OPINION } verdict;

typedef struct outcome {
  verdict verdict;
  uint64_t end;  /* where the next request begins */
  uint64_t body; /* bytes of it, without the coding */
} outcome;

static const ed_http1_limits limits = {4096, 16384, MAXFIELDS};

static void must (bool ok) {
  if (!ok) abort();
}

/* ---- Ours ---- */

/* It reads trailers as if they were fields of the head; we keep them apart, whatever they are called. */
static bool may_frame (const char *text) {
  return strcasestr(text, "transfer-encoding") != NULL
    || strcasestr(text, "content-length") != NULL || strcasestr(text, "upgrade") != NULL;
}

static outcome decode (const char *text, size_t len, size_t at) {
  ed_chunked decoder;
  char trailers[20000] = "";
  size_t ntrailers = 0;
  outcome o = {UNFINISHED, 0, 0};
  ed_chunk_event event = ED_CHUNK_MORE;
  ed_chunked_init(&decoder, &ed_chunked_client_limits);
  while (at < len && event != ED_CHUNK_END && event != ED_CHUNK_ERROR) {
    const char *piece;
    size_t used, n;
    event = ed_chunked_feed(&decoder, text + at, len - at, &used, &piece, &n);
    at += used;
    if (event == ED_CHUNK_DATA) o.body += n;
    if (event == ED_CHUNK_TRAILER && ntrailers + n < sizeof trailers) {
      memcpy(trailers + ntrailers, piece, n);
      ntrailers += n;
    }
  }
  o.end = at;
  if (event == ED_CHUNK_END) o.verdict = TAKEN;
  if (event == ED_CHUNK_END && may_frame(trailers)) o.verdict = NO_OPINION;
  if (event == ED_CHUNK_ERROR) o.verdict = REFUSED;
  return o;
}

static outcome ours_of (const char *text, size_t len) {
  ed_http1_scan scan = {0};
  ed_http1_field field[MAXFIELDS];
  ed_http1_head head;
  outcome o = {REFUSED, 0, 0};
  long end = ed_http1_request_end(&scan, text, len, &limits);
  if (end == 0) o.verdict = UNFINISHED;
  if (end <= 0) return o;
  head.field = field;
  head.maxfields = MAXFIELDS;
  if (ed_http1_parse_request(&head, text, (size_t)end) != ED_HTTP1_OK) return o;
  if (head.framing == ED_HTTP1_CHUNKED) return decode(text, len, (size_t)end);
  o.body = head.framing == ED_HTTP1_LENGTH ? head.length : 0;
  o.end = (uint64_t)end + o.body;
  o.verdict = o.end <= len ? TAKEN : UNFINISHED;
  if (head.form == ED_HTTP1_AUTHORITY)
    o.verdict = NO_OPINION; /* CONNECT: no request follows */
  return o;
}

/* ---- Theirs ---- */

static int on_body (llhttp_t *parser, const char *at, size_t n) {
  (void)at;
  ((outcome *)parser->data)->body += n;
  return 0;
}

static int on_complete (llhttp_t *parser) {
  ((outcome *)parser->data)->verdict = TAKEN;
  return HPE_PAUSED;
}

static outcome theirs_of (const char *text, size_t len) {
  llhttp_settings_t settings;
  llhttp_t parser;
  llhttp_errno_t code;
  outcome o = {UNFINISHED, 0, 0};
  llhttp_settings_init(&settings);
  settings.on_body = on_body;
  settings.on_message_complete = on_complete;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  parser.data = &o;
  code = llhttp_execute(&parser, text, len);
  if (o.verdict == TAKEN) o.end = (uint64_t)(llhttp_get_error_pos(&parser) - text);
  else if (code == HPE_INVALID_METHOD || code == HPE_INVALID_URL) o.verdict = NO_OPINION;
  else if (code != HPE_OK) o.verdict = REFUSED;
  return o;
}

/* ---- Both ---- */

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  outcome ours, theirs;
  must(text != NULL);
  memcpy(text, data, size);
  text[size] = '\0';
  ours = ours_of(text, size);
  theirs = theirs_of(text, size);
  if (ours.verdict == TAKEN && theirs.verdict != NO_OPINION) {
    must(theirs.verdict == TAKEN);
    must(theirs.end == ours.end && theirs.body == ours.body);
  }
  if (ours.verdict == UNFINISHED) must(theirs.verdict != TAKEN);
  free(text);
  return 0;
}
