/* SPDX-License-Identifier: MIT */
/*
** HTTP/1.x heads. The caller collects bytes, 'ed_http1_..._end' says when a head is whole, and
** 'ed_http1_parse_...' takes it apart: offsets into the head, fields in storage of the caller,
** and the framing of the body. Owns nothing, copies nothing, knows no connection.
** Promise: what two parsers could read differently is refused (RFC 9112 read strictly): bare
** CR or LF, space before the colon, Content-Length beside Transfer-Encoding, odd numbers,
** unknown transfer codings. Only for responses two habits of old servers are forgiven: folded
** lines, and Content-Length repeated with the same value.
*/
#ifndef ED_HTTP1_H
#define ED_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/url.h"

enum {
  ED_HTTP1_OK = 0,
  ED_HTTP1_EHEAD = -1,    /* this is no HTTP */
  ED_HTTP1_EFRAMING = -2, /* where the body ends is unclear */
  ED_HTTP1_EHEADERS = -3, /* line, head or number of fields above its limit */
  ED_HTTP1_ETARGET = -4,  /* the request line is above its limit */
  ED_HTTP1_EVERSION = -5, /* HTTP, but neither 1.0 nor 1.1 */
  ED_HTTP1_EHOST = -6     /* Host is missing, repeated or malformed */
};

typedef struct ed_http1_limits {
  uint32_t line;   /* bytes of a line with its CRLF */
  uint32_t head;   /* bytes of all lines with their CRLFs */
  uint32_t fields; /* lines between the first and the empty one */
} ed_http1_limits;

extern const ed_http1_limits ed_http1_client_limits; /* 64 KiB, 256 KiB, 1000 */
extern const ed_http1_limits ed_http1_server_limits; /* 8 KiB, 32 KiB, 100 */

/* How far a head was searched. All zero before its first byte. */
typedef struct ed_http1_scan {
  uint32_t seen;  /* bytes searched */
  uint32_t line;  /* where the current line begins */
  uint32_t lines; /* complete lines: the first line and one for each field */
} ed_http1_scan;

typedef struct ed_http1_field {
  ed_span name;  /* as sent: compare with 'ed_http1_is' */
  ed_span value; /* without white space around it */
} ed_http1_field;

typedef enum ed_http1_framing {
  ED_HTTP1_NOBODY,
  ED_HTTP1_LENGTH,     /* 'length' bytes, maybe 0 */
  ED_HTTP1_CHUNKED,    /* see chunked.h */
  ED_HTTP1_UNTIL_CLOSE /* responses only */
} ed_http1_framing;

typedef enum ed_http1_form {
  ED_HTTP1_ORIGIN,    /* "/path?query" */
  ED_HTTP1_ABSOLUTE,  /* a whole address that 'ed_url_parse' accepts; stands above Host */
  ED_HTTP1_AUTHORITY, /* "host:port", with CONNECT and only there */
  ED_HTTP1_ASTERISK   /* "*", with OPTIONS */
} ed_http1_form;

/* Fields that a reader of the head should look at: most heads have none of them. */
enum {
  ED_HTTP1_HAS_CODING = 1,    /* Content-Encoding */
  ED_HTTP1_HAS_COOKIE = 2,    /* Set-Cookie */
  ED_HTTP1_HAS_KEEP_ALIVE = 4 /* Keep-Alive */
};

typedef struct ed_http1_head {
  ed_http1_field *field; /* storage: the caller sets this ... */
  uint32_t maxfields;    /* ... and this before parsing */
  uint32_t nfields;
  ed_span method;           /* request */
  ed_span target;           /* request */
  ed_span host;             /* request: value of Host; empty if there is none */
  ed_span reason;           /* response; may be empty */
  uint64_t length;          /* with ED_HTTP1_LENGTH; else 0. Never above INT64_MAX */
  ed_http1_framing framing; /* of the body that follows */
  ed_http1_form form;       /* request: of the target */
  uint16_t status;          /* response: 100..999 */
  uint8_t minor;            /* HTTP/1.minor: 0 or 1 */
  uint8_t mentions;         /* ED_HTTP1_HAS_... */
  bool keep_alive;          /* the connection may carry another message after this one */
  bool expect_continue;     /* request */
  bool upgrade;             /* asked for: Connection and Upgrade agree */
} ed_http1_head;

/* What a response answers, as far as it matters for its body. */
typedef enum ed_http1_asked {
  ED_HTTP1_ASKED, /* any other method */
  ED_HTTP1_ASKED_HEAD,
  ED_HTTP1_ASKED_CONNECT
} ed_http1_asked;

/*
** Find the end of a head. Call with all bytes of the head so far, whenever some have come: each
** byte is searched once, however they come. Also counts what 'limits' limits, and refuses a
** first line that cannot be HTTP as soon as that is clear. Before a request, empty lines are
** skipped and belong to it. 'scan->lines' is then a bound for the fields to make room for.
** Returns: length of the head with its empty line; 0: more is needed; below 0: a code.
*/
long ed_http1_request_end (
  ed_http1_scan *scan, const char *bytes, size_t len, const ed_http1_limits *limits);
long ed_http1_response_end (
  ed_http1_scan *scan, const char *bytes, size_t len, const ed_http1_limits *limits);

/*
** Take apart the head whose 'len' bytes, with the empty line, ..._end has found. More fields
** than 'maxfields' are ED_HTTP1_EHEADERS. Folded lines of a response are joined in place by
** one space each, which is why its bytes are not constant.
** Returns: ED_HTTP1_OK or a code; then 'head' means nothing.
*/
int ed_http1_parse_request (ed_http1_head *head, const char *bytes, size_t len);
int ed_http1_parse_response (
  ed_http1_head *head, char *bytes, size_t len, ed_http1_asked asked);

/*
** Take apart lines of fields without an empty line, as strictly as in a request: for trailers.
** Returns: how many there are, or a code.
*/
long ed_http1_parse_fields (
  ed_http1_field *field, uint32_t maxfields, const char *bytes, size_t len);

/* The first field of that name, which is given in lower case, or NULL. */
const ed_http1_field *ed_http1_find (
  const ed_http1_head *head, const char *bytes, const char *name);

/* Is this piece of 'bytes' the text 'lower' (in lower case), whatever its case? */
bool ed_http1_is (const char *bytes, ed_span piece, const char *lower);

/* Has the list "a, b, c" in this piece of 'bytes' the member 'lower', whatever its case? */
bool ed_http1_lists (const char *bytes, ed_span piece, const char *lower);

/* May these bytes be sent as a method or a field's name, a field's value, a target? */
bool ed_http1_is_token (const char *text, size_t len);
bool ed_http1_is_value (const char *text, size_t len);
bool ed_http1_is_target (const char *text, size_t len);

/* About a code: a sentence, the 'code' of our errors, the status that a server answers. */
const char *ed_http1_error_text (int code);
const char *ed_http1_error_code (int code);
int ed_http1_error_status (int code);

#endif
