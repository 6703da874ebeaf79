/* SPDX-License-Identifier: MIT */
/*
** http and https addresses, after RFC 3986. A parse answers offsets into the text it was given
** and never changes it; what must be written goes to a buffer of the caller. Owns nothing.
** Promise: a text that parses has no control byte, space or backslash anywhere, and a host
** that is safe in a Host field and for name lookup: ASCII, no percent signs. It is a text to
** send only after 'ed_url_target' or 'ed_url_clean', which escape what a path may not hold raw.
*/
#ifndef ED_URL_H
#define ED_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of a text that the caller keeps. */
typedef struct ed_span {
  uint32_t at;
  uint32_t len;
} ed_span;

enum {
  ED_URL_OK = 0,
  ED_URL_ESCHEME = -1, /* missing, or neither http nor https */
  ED_URL_EUSER = -2,   /* a byte that user:password may not have */
  ED_URL_EHOST = -3,   /* missing, not ASCII, no valid name or IPv6 address */
  ED_URL_EPORT = -4,   /* not 1..65535 */
  ED_URL_EBYTE = -5,   /* a control byte, space or backslash, or more than 2 GiB */
  ED_URL_EROOM = -6    /* the caller's buffer is too small */
};

typedef struct ed_url {
  ed_span scheme;
  ed_span userinfo; /* without the "@"; at == 0: none. Still percent-encoded */
  ed_span host;     /* as written; an IPv6 address without its brackets */
  ed_span path;     /* may be empty, which means "/" */
  ed_span query;    /* without the "?"; at == 0: none (an empty one has its place) */
  uint16_t port;    /* as given, or that of the scheme */
  bool secure;      /* https */
  bool port_given;
  bool literal; /* the host is an IPv6 address: a Host field needs brackets around it */
  bool raw;     /* path or query hold bytes to be escaped before they are sent */
} ed_url;

/*
** Take an absolute address apart; a fragment is dropped.
** Returns: ED_URL_OK or why not; then 'url' means nothing.
*/
int ed_url_parse (ed_url *url, const char *text, size_t len);

/* A short sentence about one of the codes. */
const char *ed_url_error_text (int code);

/*
** Check "host" or "host:port", as a Host field and the target of CONNECT have it.
** Returns: the port, 0 if none is given, or a code.
*/
int ed_url_check_authority (const char *text, size_t len);

/*
** Resolve 'ref' against the absolute 'base' (RFC 3986, 5.2, strict), dots removed. A fragment
** of 'ref' stays. 'to' may not overlap and needs room for nbase + nref + 1 bytes.
** Returns: the length of the result, without a final NUL, or a code.
*/
long ed_url_join (
  char *to, size_t room, const char *base, size_t nbase, const char *ref, size_t nref);

/*
** The functions below write as snprintf does: they return the length of the whole result,
** which is in 'to' only if it is not above 'room'. No final NUL. 3 * len is always enough.
*/

/* Percent-encode a path segment or a query key or value: all but letters, digits, "-._~". */
size_t ed_url_escape (char *to, size_t room, const char *text, size_t len);

/* Percent-encode only what may stand nowhere in an address; what is escaped stays escaped. */
size_t ed_url_clean (char *to, size_t room, const char *text, size_t len);

/* The target of a request: path and query, cleaned, at least "/". 3 * len + 1 is enough. */
size_t ed_url_target (char *to, size_t room, const ed_url *url, const char *text);

/*
** Undo percent-encoding; "+" stays. 'to' may be 'text' itself and needs 'len' bytes.
** Returns: the length, or ED_URL_EBYTE if a "%" is not followed by two hex digits.
*/
long ed_url_unescape (char *to, const char *text, size_t len);

#endif
