/* SPDX-License-Identifier: MIT */
/*
** Heads, in two passes. The search for the end is memchr for line ends and enforces the limits;
** it remembers where it is. The parse then runs over a head that is known to end with an empty
** line: the last LF is in none of the classes, so that no loop needs to watch for the end.
** Each byte is looked at once by either pass. The few fields that decide about framing and the
** connection are noted on the way; the decision is made at the end, by 'frame_...'.
*/
#include "proto/http1.h"

#include <string.h>

const ed_http1_limits ed_http1_client_limits = {64 * 1024, 256 * 1024, 1000};
const ed_http1_limits ed_http1_server_limits = {8 * 1024, 32 * 1024, 100};

enum {
  TOKEN = 1,  /* of methods and names */
  VALUE = 2,  /* of values and reasons: tab, space, all visible, above 127 */
  TARGET = 4, /* of targets: all visible but "#" */
  BLANK = 8   /* tab and space */
};

static const uint8_t class_of[256] = {
  0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, /* 00 tab */
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  /* 10 */
  10, 7, 6, 3, 7, 7, 7, 7, 6, 6, 7, 7, 6, 7, 7,
  6,                                              /* 20   ! " # $ % & ' ( ) * + , - . / */
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 6, 6, 6, 6, /* 30 0..9 : ; < = > ? */
  6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, /* 40 @ A..O */
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 6, 7, 7, /* 50 P..Z [ \ ] ^ _ */
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, /* 60 ` a..o */
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 7, 6, 7, 0, /* 70 p..z { | } ~ DEL */
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* 80 */
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* 90 */
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* a0 */
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* b0 */
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* c0 */
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* d0 */
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* e0 */
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* f0 */
};

static bool is_of (char c, unsigned classes) {
  return (class_of[(unsigned char)c] & classes) != 0;
}

static bool is_digit (char c) { return c >= '0' && c <= '9'; }

static bool has_only (const char *text, size_t len, unsigned classes) {
  for (size_t i = 0; i < len; i++)
    if (!is_of(text[i], classes)) return false;
  return true;
}

bool ed_http1_is_token (const char *text, size_t len) {
  return len > 0 && has_only(text, len, TOKEN);
}

bool ed_http1_is_value (const char *text, size_t len) {
  return has_only(text, len, VALUE);
}

bool ed_http1_is_target (const char *text, size_t len) {
  return len > 0 && has_only(text, len, TARGET);
}

/* ---- The end of a head ---- */

/* Is "HTTP/d.d" at 'text', of which 'len' bytes are there? */
static bool is_version (const char *text, size_t len) {
  return len >= 8 && memcmp(text, "HTTP/", 5) == 0 && is_digit(text[5]) && text[6] == '.'
    && is_digit(text[7]);
}

/* Can the first line begin like this? It is a request that may have empty lines before it. */
static bool can_begin (const char *bytes, size_t len, bool is_response) {
  if (is_response) return memcmp(bytes, "HTTP/", len < 5 ? len : 5) == 0;
  return len == 0 || bytes[0] == '\r' || is_of(bytes[0], TOKEN);
}

/* A complete first line, without its CRLF. A parse would find the same, but later. */
static bool can_be_first (const char *line, size_t len, bool is_response) {
  if (is_response) return true;
  return len > 9 && line[len - 9] == ' ' && is_version(line + len - 8, 8);
}

/*
** The line whose LF is at 'lf': 0 to go on, the length of the head, or a code. Then 'scan' is
** as it was, so that asking again gets the same answer.
*/
static long see_line (ed_http1_scan *scan, const char *bytes, uint32_t lf,
  const ed_http1_limits *limits, bool is_response) {
  uint32_t first = scan->line;
  bool is_empty = lf == first + 1;
  if (lf == first || bytes[lf - 1] != '\r') return ED_HTTP1_EHEAD;
  if (is_empty && scan->lines > 0) return (long)lf + 1;
  if (!is_empty) {
    if (scan->lines == 0 && !can_be_first(bytes + first, lf - 1 - first, is_response))
      return ED_HTTP1_EHEAD;
    if (scan->lines > limits->fields) return ED_HTTP1_EHEADERS;
    scan->lines++;
  }
  scan->line = scan->seen = lf + 1;
  return 0;
}

/* No line end before 'stop', where a limit lies. */
static long too_long (const ed_http1_scan *scan, size_t stop,
  const ed_http1_limits *limits, bool is_response) {
  bool is_first = scan->lines == 0 && stop == (size_t)scan->line + limits->line;
  return is_first && !is_response ? ED_HTTP1_ETARGET : ED_HTTP1_EHEADERS;
}

static long find_end (ed_http1_scan *scan, const char *bytes, size_t len,
  const ed_http1_limits *limits, bool is_response) {
  while (len > 0) {
    size_t line_stop = (size_t)scan->line + limits->line;
    size_t stop = line_stop < limits->head ? line_stop : limits->head;
    size_t have = len < stop ? len : stop;
    const char *lf = NULL;
    long found;
    if (scan->lines == 0
      && !can_begin(bytes + scan->line, have - scan->line, is_response))
      return ED_HTTP1_EHEAD;
    if (have > scan->seen) lf = memchr(bytes + scan->seen, '\n', have - scan->seen);
    if (lf == NULL) {
      scan->seen = (uint32_t)have;
      return len < stop ? 0 : too_long(scan, stop, limits, is_response);
    }
    found = see_line(scan, bytes, (uint32_t)(lf - bytes), limits, is_response);
    if (found != 0) return found;
  }
  return 0;
}

long ed_http1_request_end (
  ed_http1_scan *scan, const char *bytes, size_t len, const ed_http1_limits *limits) {
  return find_end(scan, bytes, len, limits, false);
}

long ed_http1_response_end (
  ed_http1_scan *scan, const char *bytes, size_t len, const ed_http1_limits *limits) {
  return find_end(scan, bytes, len, limits, true);
}

/* ---- Pieces of text ---- */

static ed_span make_span (uint32_t at, uint32_t end) {
  ed_span span = {at, end - at};
  return span;
}

static uint32_t skip (const char *s, uint32_t at, unsigned classes) {
  while (is_of(s[at], classes)) at++;
  return at;
}

/* 'at' .. 'end' without the white space behind it. */
static ed_span trim (const char *s, uint32_t at, uint32_t end) {
  while (end > at && is_of(s[end - 1], BLANK)) end--;
  return make_span(at, end);
}

static bool is_crlf (const char *s, uint32_t at) {
  return s[at] == '\r' && s[at + 1] == '\n';
}

bool ed_http1_is (const char *bytes, ed_span piece, const char *lower) {
  const char *s = bytes + piece.at;
  uint32_t i;
  for (i = 0; i < piece.len && lower[i] != '\0'; i++) {
    unsigned differ = (unsigned char)(s[i] ^ lower[i]);
    if (differ != 0 && (differ != 0x20 || lower[i] < 'a' || lower[i] > 'z')) return false;
  }
  return i == piece.len && lower[i] == '\0';
}

/* Take the next member off the front of a list; false when there is none left. */
static bool next_member (const char *bytes, ed_span *list, ed_span *member) {
  uint32_t end = list->at + list->len;
  uint32_t at = list->at;
  const char *comma;
  if (list->len == 0) return false;
  comma = memchr(bytes + at, ',', list->len);
  *list = make_span(comma != NULL ? (uint32_t)(comma - bytes) + 1 : end, end);
  if (comma != NULL) end = list->at - 1;
  while (at < end && is_of(bytes[at], BLANK)) at++;
  *member = trim(bytes, at, end);
  return true;
}

bool ed_http1_lists (const char *bytes, ed_span piece, const char *lower) {
  ed_span member;
  while (next_member(bytes, &piece, &member))
    if (ed_http1_is(bytes, member, lower)) return true;
  return false;
}

const ed_http1_field *ed_http1_find (
  const ed_http1_head *head, const char *bytes, const char *name) {
  size_t len = strlen(name);
  for (uint32_t i = 0; i < head->nfields; i++) {
    const ed_http1_field *field = &head->field[i];
    if (field->name.len == len && ed_http1_is(bytes, field->name, name)) return field;
  }
  return NULL;
}

/* ---- Fields that decide ---- */

/* What was seen about the body and the connection. */
typedef struct notes {
  bool is_response;
  bool is_odd; /* a length or coding that nobody should trust */
  bool is_chunked;
  bool has_length;
  bool has_upgrade;
  bool says_upgrade; /* Connection's members */
  bool says_close;
  bool says_keep;
  bool expects;
  uint8_t hosts; /* how many, up to 2 */
  uint8_t mentions;
  ed_span host;
  uint64_t length;
} notes;

/* Digits only, and at least one. */
static bool read_length (const char *bytes, ed_span piece, uint64_t *length) {
  *length = 0;
  for (uint32_t i = 0; i < piece.len; i++) {
    char c = bytes[piece.at + i];
    if (!is_digit(c) || *length > (INT64_MAX - (uint64_t)(c - '0')) / 10) return false;
    *length = *length * 10 + (uint64_t)(c - '0');
  }
  return piece.len > 0;
}

static void note_one_length (notes *seen, const char *bytes, ed_span piece) {
  uint64_t length;
  if (!read_length(bytes, piece, &length)) seen->is_odd = true;
  if (seen->has_length && (!seen->is_response || length != seen->length))
    seen->is_odd = true;
  seen->has_length = true;
  seen->length = length;
}

/* Equal lengths in several fields or in a list are an old accident of responses. */
static void note_length (notes *seen, const char *bytes, ed_span value) {
  ed_span member;
  bool ends_in_comma = value.len > 0 && bytes[value.at + value.len - 1] == ',';
  if (!seen->is_response || value.len == 0 || ends_in_comma)
    note_one_length(seen, bytes, value);
  else
    while (next_member(bytes, &value, &member)) note_one_length(seen, bytes, member);
}

static void note_coding (notes *seen, const char *bytes, ed_span value) {
  if (seen->is_chunked || !ed_http1_is(bytes, value, "chunked")) seen->is_odd = true;
  seen->is_chunked = true;
}

static void note_connection (notes *seen, const char *bytes, ed_span list) {
  ed_span member;
  while (next_member(bytes, &list, &member)) {
    if (ed_http1_is(bytes, member, "close")) seen->says_close = true;
    if (ed_http1_is(bytes, member, "keep-alive")) seen->says_keep = true;
    if (ed_http1_is(bytes, member, "upgrade")) seen->says_upgrade = true;
  }
}

static void note_host (notes *seen, ed_span value) {
  if (seen->hosts < 2) seen->hosts++;
  seen->host = value;
}

static void note_mention (notes *seen, const char *bytes, ed_span name) {
  if (ed_http1_is(bytes, name, "content-encoding")) seen->mentions |= ED_HTTP1_HAS_CODING;
  if (ed_http1_is(bytes, name, "set-cookie")) seen->mentions |= ED_HTTP1_HAS_COOKIE;
  if (ed_http1_is(bytes, name, "keep-alive")) seen->mentions |= ED_HTTP1_HAS_KEEP_ALIVE;
}

/* The length tells nearly all fields apart from those that matter. */
static void note_field (notes *seen, const char *bytes, const ed_http1_field *field) {
  ed_span name = field->name;
  ed_span value = field->value;
  switch (name.len) {
    case 4:
      if (ed_http1_is(bytes, name, "host")) note_host(seen, value);
      break;
    case 6:
      if (ed_http1_is(bytes, name, "expect"))
        seen->expects |= ed_http1_is(bytes, value, "100-continue");
      break;
    case 7:
      if (ed_http1_is(bytes, name, "upgrade")) seen->has_upgrade = true;
      break;
    case 10:
      if (ed_http1_is(bytes, name, "connection")) note_connection(seen, bytes, value);
      else note_mention(seen, bytes, name);
      break;
    case 14:
      if (ed_http1_is(bytes, name, "content-length")) note_length(seen, bytes, value);
      break;
    case 16: note_mention(seen, bytes, name); break;
    case 17:
      if (ed_http1_is(bytes, name, "transfer-encoding")) note_coding(seen, bytes, value);
      break;
  }
}

/* ---- Lines ---- */

/* One line "name: value"; answers where the next begins, or 0. */
static uint32_t parse_field (ed_http1_field *field, const char *s, uint32_t at) {
  uint32_t end = skip(s, at, TOKEN);
  if (end == at || s[end] != ':') return 0;
  field->name = make_span(at, end);
  at = skip(s, end + 1, BLANK);
  end = skip(s, at, VALUE);
  field->value = trim(s, at, end);
  return is_crlf(s, end) ? end + 2 : 0;
}

/*
** Join the folded lines at 'at' to the value before them, and blank what remains of them: a
** second parse would find the same. Answers where the next field begins, or 0.
*/
static uint32_t unfold (ed_http1_field *field, char *s, uint32_t at) {
  uint32_t to = field->value.at + field->value.len;
  while (is_of(s[at], BLANK)) {
    uint32_t from = skip(s, at, BLANK);
    uint32_t end = skip(s, from, VALUE);
    ed_span more = trim(s, from, end);
    if (!is_crlf(s, end)) return 0;
    if (more.len > 0 && to > field->value.at) s[to++] = ' ';
    memmove(s + to, s + more.at, more.len);
    to += more.len;
    at = end + 2;
  }
  memset(s + to, ' ', at - 2 - to);
  field->value.len = to - field->value.at;
  return at;
}

/* All fields up to the empty line, which must be the end. 'folding' is the head or NULL. */
static int parse_head_fields (ed_http1_head *head, notes *seen, const char *s,
  uint32_t at, uint32_t len, char *folding) {
  while (s[at] != '\r') {
    ed_http1_field *field = &head->field[head->nfields];
    if (head->nfields == head->maxfields) return ED_HTTP1_EHEADERS;
    at = parse_field(field, s, at);
    if (at > 0 && folding != NULL && is_of(s[at], BLANK)) at = unfold(field, folding, at);
    if (at == 0) return ED_HTTP1_EHEAD;
    head->nfields++;
    note_field(seen, s, field);
  }
  return at + 2 == len ? ED_HTTP1_OK : ED_HTTP1_EHEAD;
}

long ed_http1_parse_fields (
  ed_http1_field *field, uint32_t maxfields, const char *bytes, size_t len) {
  uint32_t at = 0;
  uint32_t n = 0;
  if (len > INT32_MAX || (len > 0 && bytes[len - 1] != '\n')) return ED_HTTP1_EHEAD;
  while (at < len) {
    if (n == maxfields) return ED_HTTP1_EHEADERS;
    at = parse_field(&field[n++], bytes, at);
    if (at == 0) return ED_HTTP1_EHEAD;
  }
  return (long)n;
}

/* "HTTP/1.0" or "HTTP/1.1" at 'at', with at least two bytes of the head behind it. */
static int parse_version (ed_http1_head *head, const char *s, uint32_t at, uint32_t len) {
  if (!is_version(s + at, len - at) || len - at < 10) return ED_HTTP1_EHEAD;
  if (s[at + 5] != '1' || s[at + 7] > '1') return ED_HTTP1_EVERSION;
  head->minor = (uint8_t)(s[at + 7] - '0');
  return ED_HTTP1_OK;
}

/* What every parse begins with: the head must end so that the loops can. */
static int start (ed_http1_head *head, const char *s, size_t len) {
  ed_http1_field *field = head->field;
  uint32_t maxfields = head->maxfields;
  memset(head, 0, sizeof *head);
  head->field = field;
  head->maxfields = maxfields;
  if (len < 4 || len > INT32_MAX) return ED_HTTP1_EHEAD;
  return memcmp(s + len - 4, "\r\n\r\n", 4) == 0 ? ED_HTTP1_OK : ED_HTTP1_EHEAD;
}

/* ---- Framing and connection, once all is known ---- */

static int decide_connection (ed_http1_head *head, const notes *seen) {
  bool is_11 = head->minor == 1;
  if (seen->is_odd || (seen->is_chunked && (seen->has_length || !is_11)))
    return ED_HTTP1_EFRAMING;
  head->keep_alive = !seen->says_close && (is_11 || seen->says_keep);
  head->mentions = seen->mentions;
  head->upgrade = is_11 && seen->has_upgrade && seen->says_upgrade;
  return ED_HTTP1_OK;
}

static void frame (ed_http1_head *head, const notes *seen, ed_http1_framing otherwise) {
  if (seen->is_chunked) head->framing = ED_HTTP1_CHUNKED;
  else if (seen->has_length) head->framing = ED_HTTP1_LENGTH;
  else head->framing = otherwise;
  if (head->framing == ED_HTTP1_LENGTH) head->length = seen->length;
}

/* ---- Requests ---- */

static bool is_method (const ed_http1_head *head, const char *s, const char *name) {
  return head->method.len == strlen(name)
    && memcmp(s + head->method.at, name, head->method.len) == 0;
}

/* CONNECT needs the port that others may leave out. */
static bool has_good_target (ed_http1_head *head, const char *s) {
  const char *target = s + head->target.at;
  size_t len = head->target.len;
  ed_url url;
  if (is_method(head, s, "CONNECT")) {
    head->form = ED_HTTP1_AUTHORITY;
    return ed_url_check_authority(target, len) > 0;
  }
  if (target[0] == '/') return true;
  if (len == 1 && target[0] == '*') {
    head->form = ED_HTTP1_ASTERISK;
    return is_method(head, s, "OPTIONS");
  }
  head->form = ED_HTTP1_ABSOLUTE;
  return ed_url_parse(&url, target, len) == ED_URL_OK;
}

/* "METHOD target HTTP/1.1"; moves 'at' behind it. */
static int parse_request_line (
  ed_http1_head *head, const char *s, uint32_t *at, uint32_t len) {
  uint32_t end = skip(s, *at, TOKEN);
  int status;
  head->method = make_span(*at, end);
  if (head->method.len == 0 || s[end] != ' ') return ED_HTTP1_EHEAD;
  *at = end + 1;
  end = skip(s, *at, TARGET);
  head->target = make_span(*at, end);
  if (head->target.len == 0 || s[end] != ' ') return ED_HTTP1_EHEAD;
  status = parse_version(head, s, end + 1, len);
  if (status != ED_HTTP1_OK) return status;
  *at = end + 11;
  return is_crlf(s, end + 9) && has_good_target(head, s) ? ED_HTTP1_OK : ED_HTTP1_EHEAD;
}

static int check_host (ed_http1_head *head, const notes *seen, const char *s) {
  if (seen->hosts > 1 || (seen->hosts == 0 && head->minor == 1)) return ED_HTTP1_EHOST;
  head->host = seen->host;
  if (head->host.len > 0 && ed_url_check_authority(s + head->host.at, head->host.len) < 0)
    return ED_HTTP1_EHOST;
  return ED_HTTP1_OK;
}

int ed_http1_parse_request (ed_http1_head *head, const char *bytes, size_t len) {
  notes seen = {0};
  uint32_t at = 0;
  int status = start(head, bytes, len);
  if (status != ED_HTTP1_OK) return status;
  while (at + 4 < len && is_crlf(bytes, at)) at += 2;
  status = parse_request_line(head, bytes, &at, (uint32_t)len);
  if (status == ED_HTTP1_OK)
    status = parse_head_fields(head, &seen, bytes, at, (uint32_t)len, NULL);
  if (status == ED_HTTP1_OK) status = check_host(head, &seen, bytes);
  if (status == ED_HTTP1_OK) status = decide_connection(head, &seen);
  frame(head, &seen, ED_HTTP1_NOBODY);
  head->expect_continue = seen.expects && head->minor == 1;
  return status;
}

/* ---- Responses ---- */

/* "HTTP/1.1 200 reason", where the reason and the space before it may be missing. */
static int parse_status_line (
  ed_http1_head *head, const char *s, uint32_t *at, uint32_t len) {
  int status = parse_version(head, s, 0, len);
  uint32_t end;
  if (status != ED_HTTP1_OK) return status;
  for (end = 9; end < 12; end++) {
    if (!is_digit(s[end])) return ED_HTTP1_EHEAD;
    head->status = (uint16_t)(head->status * 10 + (s[end] - '0'));
  }
  if (s[8] != ' ' || head->status < 100) return ED_HTTP1_EHEAD;
  if (s[end] == ' ') {
    *at = end + 1;
    end = skip(s, *at, VALUE);
    head->reason = make_span(*at, end);
  }
  *at = end + 2;
  return is_crlf(s, end) ? ED_HTTP1_OK : ED_HTTP1_EHEAD;
}

static bool has_no_body (const ed_http1_head *head, ed_http1_asked asked) {
  int status = head->status;
  if (asked == ED_HTTP1_ASKED_HEAD || status < 200 || status == 204 || status == 304)
    return true;
  return asked == ED_HTTP1_ASKED_CONNECT && status < 300;
}

int ed_http1_parse_response (
  ed_http1_head *head, char *bytes, size_t len, ed_http1_asked asked) {
  notes seen = {.is_response = true};
  uint32_t at = 0;
  int status = start(head, bytes, len);
  if (status == ED_HTTP1_OK) status = parse_status_line(head, bytes, &at, (uint32_t)len);
  if (status == ED_HTTP1_OK)
    status = parse_head_fields(head, &seen, bytes, at, (uint32_t)len, bytes);
  if (status == ED_HTTP1_OK) status = decide_connection(head, &seen);
  if (status != ED_HTTP1_OK || has_no_body(head, asked)) return status;
  frame(head, &seen, ED_HTTP1_UNTIL_CLOSE);
  if (head->framing == ED_HTTP1_UNTIL_CLOSE) head->keep_alive = false;
  return status;
}

/* ---- About codes ---- */

typedef struct meaning {
  const char *text;
  const char *code;
  int status;
} meaning;

static const meaning *meaning_of (int code) {
  static const meaning meanings[] = {{"no error", "", 200},
    {"malformed HTTP head", "EBADHEAD", 400},
    {"ambiguous or invalid message framing", "EBADFRAMING", 400},
    {"header fields above the limit", "EHEADERS", 431},
    {"request line above the limit", "EHEADERS", 414},
    {"unsupported HTTP version", "EBADHEAD", 505},
    {"missing, repeated or invalid Host", "EBADHEAD", 400}};
  return &meanings[code <= 0 && code >= ED_HTTP1_EHOST ? -code : 1];
}

const char *ed_http1_error_text (int code) { return meaning_of(code)->text; }

const char *ed_http1_error_code (int code) { return meaning_of(code)->code; }

int ed_http1_error_status (int code) { return meaning_of(code)->status; }
