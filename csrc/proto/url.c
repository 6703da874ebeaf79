/* SPDX-License-Identifier: MIT */
/*
** Addresses: one pass refuses bytes that no address has, then the text is cut at its delimiters
** from left to right and each piece is checked against a table. Joining works on the five
** components of RFC 3986, appendix B, whatever the scheme; dots are removed in the output.
** Everything here is linear in the text.
*/
#include "proto/url.h"

#include <string.h>

enum {
  PLAIN = 1, /* letters, digits, "-._~": never escaped */
  SUB = 2,   /* "!$&'()*+,;=" */
  GEN = 4,   /* ":/?#[]@" */
  HEX = 8
};

/* "%" is in none of the classes: it is right only together with two digits. */
static const uint8_t class_of[256] = {
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 00 */
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
  0, 2, 0, 4, 2, 0, 2, 2, 2, 2, 2, 2, 2, 1, 1, 4, /* 20   ! " # $ % & ' ( ) * + , - . / */
  9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 4, 2, 0, 2, 0, 4, /* 30 0..9 : ; < = > ? */
  4, 9, 9, 9, 9, 9, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* 40 @ A..O */
  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 0, 4, 0, 1, /* 50 P..Z [ \ ] ^ _ */
  0, 9, 9, 9, 9, 9, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* 60 ` a..o */
  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0, /* 70 p..z { | } ~ DEL */
};

static bool is_of (char c, unsigned classes) {
  return (class_of[(unsigned char)c] & classes) != 0;
}

static bool is_digit (char c) { return c >= '0' && c <= '9'; }

static bool is_letter (char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Is there "%" and two digits? */
static bool is_triplet (const char *text, size_t len) {
  return len >= 3 && text[0] == '%' && is_of(text[1], HEX) && is_of(text[2], HEX);
}

/* Bytes above 127 pass here; where they may not stand, the classes refuse them. */
static bool is_clean (const char *text, size_t len) {
  if (len > INT32_MAX) return false;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c <= ' ' || c == 127 || c == '\\') return false;
  }
  return true;
}

/* How many bytes come before the first of the 'stops', or the end. */
static size_t count_until (const char *text, size_t len, const char *stops) {
  const char *only = len > 0 && stops[1] == '\0' ? memchr(text, *stops, len) : NULL;
  size_t n = 0;
  if (stops[1] == '\0') return only != NULL ? (size_t)(only - text) : len;
  while (n < len && (text[n] == '\0' || strchr(stops, text[n]) == NULL)) n++;
  return n;
}

static bool has_only (const char *text, size_t len, unsigned classes) {
  for (size_t i = 0; i < len; i++)
    if (!is_of(text[i], classes)) return false;
  return true;
}

/* ---- Hosts and ports ---- */

/* The value of "0".."255" without leading zeros; moves 'at' behind it; -1 if it is none. */
static int read_octet (const char *text, size_t len, size_t *at) {
  size_t first = *at;
  int value = 0;
  while (*at < len && *at - first < 3 && is_digit(text[*at]))
    value = value * 10 + (text[(*at)++] - '0');
  if (*at == first || value > 255 || (text[first] == '0' && *at - first > 1)) return -1;
  return value;
}

static bool is_ipv4 (const char *text, size_t len) {
  size_t at = 0;
  for (int i = 0; i < 4; i++) {
    if (i > 0 && (at == len || text[at++] != '.')) return false;
    if (read_octet(text, len, &at) < 0) return false;
  }
  return at == len;
}

static size_t count_hex (const char *text, size_t len) {
  size_t n = 0;
  while (n < len && is_of(text[n], HEX)) n++;
  return n;
}

/* Eight groups, or fewer around one "::"; the last two may be an IPv4 address. */
static bool is_ipv6 (const char *text, size_t len) {
  size_t at = len >= 2 && memcmp(text, "::", 2) == 0 ? 2 : 0;
  unsigned groups = 0;
  bool has_gap = at > 0;
  while (at < len) {
    size_t digits = count_hex(text + at, len - at);
    if (at + digits < len && text[at + digits] == '.') {
      if (!is_ipv4(text + at, len - at)) return false;
      groups += 2;
      break;
    }
    if (digits == 0 || digits > 4 || ++groups > 8) return false;
    if ((at += digits) == len) break;
    if (text[at] != ':' || ++at == len) return false;
    if (text[at] == ':') {
      if (has_gap) return false;
      has_gap = true;
      at++;
    }
  }
  return has_gap ? groups < 8 : groups == 8;
}

static int read_port (const char *text, size_t len) {
  unsigned port = 0;
  if (len == 0) return 0;
  for (size_t i = 0; i < len; i++) {
    if (!is_digit(text[i])) return ED_URL_EPORT;
    port = port * 10 + (unsigned)(text[i] - '0');
    if (port > 65535) return ED_URL_EPORT;
  }
  return port > 0 ? (int)port : ED_URL_EPORT;
}

/*
** Check "host", "host:" or "host:port"; the host is text[*skip], *size bytes.
** Returns: the port, 0 if none is given, or a code.
*/
static int cut_host (const char *text, size_t len, size_t *skip, size_t *size) {
  size_t end;
  *skip = len > 0 && text[0] == '[';
  *size = count_until(text + *skip, len - *skip, *skip > 0 ? "]" : ":");
  end = *skip + *size;
  if (*size == 0) return ED_URL_EHOST;
  if (*skip == 0 && !has_only(text, end, PLAIN | SUB)) return ED_URL_EHOST;
  if (*skip > 0 && (end++ == len || !is_ipv6(text + 1, *size))) return ED_URL_EHOST;
  if (end == len) return 0;
  return text[end] == ':' ? read_port(text + end + 1, len - end - 1) : ED_URL_EHOST;
}

int ed_url_check_authority (const char *text, size_t len) {
  size_t skip;
  size_t size;
  return cut_host(text, len, &skip, &size);
}

/* ---- Parsing ---- */

static ed_span make_span (size_t at, size_t len) {
  ed_span span = {(uint32_t)at, (uint32_t)len};
  return span;
}

/* Whether 'text' begins with 'lower', whatever its case. */
static bool has_prefix (const char *text, size_t len, const char *lower) {
  size_t n = strlen(lower);
  if (len < n) return false;
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    if (c != lower[i] && !(is_letter(c) && (c | 0x20) == lower[i])) return false;
  }
  return true;
}

static bool is_userinfo (const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (is_triplet(text + i, len - i)) i += 2;
    else if (!is_of(text[i], PLAIN | SUB) && text[i] != ':') return false;
  }
  return true;
}

/* The authority is text[at] .. text[end - 1]. */
static int parse_authority (ed_url *url, const char *text, size_t at, size_t end) {
  size_t user = count_until(text + at, end - at, "@");
  size_t skip;
  size_t size;
  int port;
  if (at + user < end) {
    if (!is_userinfo(text + at, user)) return ED_URL_EUSER;
    url->userinfo = make_span(at, user);
    at += user + 1;
  }
  port = cut_host(text + at, end - at, &skip, &size);
  if (port < 0) return port;
  url->host = make_span(at + skip, size);
  url->literal = skip > 0;
  url->port_given = port > 0;
  url->port = (uint16_t)(port > 0 ? port : url->secure ? 443 : 80);
  return ED_URL_OK;
}

/* Is there a byte that 'ed_url_clean' would escape? */
static bool is_raw (const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (!is_of(text[i], PLAIN | SUB | GEN) && !is_triplet(text + i, len - i)) return true;
  return false;
}

static void parse_path (ed_url *url, const char *text, size_t at, size_t len) {
  size_t end = at + count_until(text + at, len - at, "#");
  size_t path = count_until(text + at, end - at, "?");
  url->path = make_span(at, path);
  if (at + path < end) url->query = make_span(at + path + 1, end - at - path - 1);
  url->raw = is_raw(text + at, end - at);
}

int ed_url_parse (ed_url *url, const char *text, size_t len) {
  size_t at;
  size_t end;
  int status;
  memset(url, 0, sizeof *url);
  if (!is_clean(text, len)) return ED_URL_EBYTE;
  url->secure = has_prefix(text, len, "https://");
  if (!url->secure && !has_prefix(text, len, "http://")) return ED_URL_ESCHEME;
  url->scheme = make_span(0, url->secure ? 5 : 4);
  at = url->scheme.len + 3;
  end = at + count_until(text + at, len - at, "/?#");
  status = parse_authority(url, text, at, end);
  if (status == ED_URL_OK) parse_path(url, text, end, len);
  return status;
}

const char *ed_url_error_text (int code) {
  static const char *const texts[] = {"no error", "the scheme is neither http nor https",
    "invalid user name or password", "missing or invalid host", "invalid port",
    "control character, space or backslash in a URL", "no room for the URL"};
  return code <= 0 && code >= ED_URL_EROOM ? texts[-code] : "invalid URL";
}

/* ---- Joining ---- */

typedef struct piece {
  const char *text; /* NULL: this component is not there */
  size_t len;
} piece;

typedef struct parts {
  piece scheme;
  piece authority;
  piece path; /* always there */
  piece query;
  piece fragment;
} parts;

/* Cut 'n' bytes and then 'delimiter' bytes off the front of 'rest'. */
static piece cut (piece *rest, size_t n, size_t delimiter) {
  piece front = {rest->text, n};
  rest->text += n + delimiter;
  rest->len -= n + delimiter;
  return front;
}

static bool is_scheme_byte (char c) {
  return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
}

static size_t scheme_len (piece rest) {
  size_t n = 0;
  if (rest.len == 0 || !is_letter(rest.text[0])) return 0;
  while (n < rest.len && is_scheme_byte(rest.text[n])) n++;
  return n < rest.len && rest.text[n] == ':' ? n : 0;
}

static void split (parts *into, const char *text, size_t len) {
  piece rest = {text, len};
  size_t n = scheme_len(rest);
  memset(into, 0, sizeof *into);
  if (n > 0) into->scheme = cut(&rest, n, 1);
  if (rest.len >= 2 && memcmp(rest.text, "//", 2) == 0) {
    cut(&rest, 0, 2);
    into->authority = cut(&rest, count_until(rest.text, rest.len, "/?#"), 0);
  }
  into->path = cut(&rest, count_until(rest.text, rest.len, "?#"), 0);
  if (rest.len > 0 && rest.text[0] == '?') {
    cut(&rest, 0, 1);
    into->query = cut(&rest, count_until(rest.text, rest.len, "#"), 0);
  }
  if (rest.len > 0) {
    cut(&rest, 0, 1);
    into->fragment = rest;
  }
}

static char *put (char *to, const char *text, size_t len) {
  if (len > 0) memcpy(to, text, len);
  return to + len;
}

/* A component with its delimiter before it, if it is there. */
static char *put_piece (char *to, const char *delimiter, piece what) {
  if (what.text == NULL) return to;
  return put(put(to, delimiter, strlen(delimiter)), what.text, what.len);
}

/* Does 'text' begin with this segment, at its end or before a slash? */
static bool is_segment (const char *text, const char *end, const char *segment) {
  size_t n = strlen(segment);
  if ((size_t)(end - text) < n || memcmp(text, segment, n) != 0) return false;
  return text + n == end || text[n] == '/';
}

/* Back to before the last slash. Each byte was written once, so this is linear in all. */
static char *drop_segment (char *first, char *to) {
  while (to > first && *--to != '/')
    ;
  return to;
}

/* Remove "." and ".." from an absolute path in place; answers its new end. */
static char *remove_dots (char *path, char *end) {
  const char *from = path;
  char *to = path;
  while (from < end) {
    size_t dots = is_segment(from, end, "/.") ? 1 : is_segment(from, end, "/..") ? 2 : 0;
    if (dots == 2) to = drop_segment(path, to);
    if (dots == 0) *to++ = *from;
    from += dots + 1;
    while (dots == 0 && from < end && *from != '/') *to++ = *from++;
    if (dots > 0 && from == end) *to++ = '/';
  }
  return to;
}

/* A path without a slash in front, as in "mailto:x", has no segments to remove. */
static char *put_path (char *to, piece path, bool keep_dots) {
  char *end = put(to, path.text, path.len);
  return keep_dots || path.len == 0 || path.text[0] != '/' ? end : remove_dots(to, end);
}

/* A relative path takes the place of what follows the last slash of the base's. */
static char *put_merged (char *to, const parts *base, piece path) {
  size_t n = base->path.len;
  char *end = to;
  while (n > 0 && base->path.text[n - 1] != '/') n--;
  if (base->authority.text != NULL && base->path.len == 0) *end++ = '/';
  else end = put(end, base->path.text, n);
  end = put(end, path.text, path.len);
  return end > to && *to == '/' ? remove_dots(to, end) : end;
}

static char *put_resolved_path (char *to, const parts *base, const parts *ref) {
  if (ref->scheme.text != NULL || ref->authority.text != NULL)
    return put_path(to, ref->path, false);
  if (ref->path.len == 0) return put_path(to, base->path, true);
  if (ref->path.text[0] == '/') return put_path(to, ref->path, false);
  return put_merged(to, base, ref->path);
}

static const parts *whose_authority (const parts *base, const parts *ref) {
  return ref->scheme.text != NULL || ref->authority.text != NULL ? ref : base;
}

static bool keeps_query (const parts *ref) {
  return ref->scheme.text == NULL && ref->authority.text == NULL && ref->path.len == 0
    && ref->query.text == NULL;
}

/* Without an authority a path may not begin with two slashes: it would be read as one. */
static long put_joined (char *to, const parts *base, const parts *ref) {
  const parts *owner = whose_authority(base, ref);
  char *end = put_piece(to, "", ref->scheme.text != NULL ? ref->scheme : base->scheme);
  char *path = put_piece(put(end, ":", 1), "//", owner->authority);
  end = put_resolved_path(path, base, ref);
  if (owner->authority.text == NULL && end - path >= 2 && memcmp(path, "//", 2) == 0)
    return ED_URL_EHOST;
  end = put_piece(end, "?", keeps_query(ref) ? base->query : ref->query);
  end = put_piece(end, "#", ref->fragment);
  return (long)(end - to);
}

long ed_url_join (
  char *to, size_t room, const char *base, size_t nbase, const char *ref, size_t nref) {
  parts from;
  parts with;
  if (!is_clean(base, nbase) || !is_clean(ref, nref)) return ED_URL_EBYTE;
  if (room < nbase + nref + 1) return ED_URL_EROOM;
  if (nbase + nref >= INT32_MAX) return ED_URL_EBYTE;
  split(&from, base, nbase);
  split(&with, ref, nref);
  if (from.scheme.text == NULL) return ED_URL_ESCHEME;
  return put_joined(to, &from, &with);
}

/* ---- Percent-encoding ---- */

/* Where text goes while there is room, and how much it is in all. */
typedef struct sink {
  char *to;
  size_t room;
  size_t len;
} sink;

static void put_byte (sink *out, char c) {
  if (out->len < out->room) out->to[out->len] = c;
  out->len++;
}

static void put_escaped (sink *out, char c) {
  static const char digits[] = "0123456789ABCDEF";
  put_byte(out, '%');
  put_byte(out, digits[(unsigned char)c >> 4]);
  put_byte(out, digits[(unsigned char)c & 15]);
}

size_t ed_url_escape (char *to, size_t room, const char *text, size_t len) {
  sink out = {to, room, 0};
  for (size_t i = 0; i < len; i++) {
    if (is_of(text[i], PLAIN)) put_byte(&out, text[i]);
    else put_escaped(&out, text[i]);
  }
  return out.len;
}

static void put_clean (sink *out, const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (is_of(text[i], PLAIN | SUB | GEN) || is_triplet(text + i, len - i))
      put_byte(out, text[i]);
    else put_escaped(out, text[i]);
  }
}

size_t ed_url_clean (char *to, size_t room, const char *text, size_t len) {
  sink out = {to, room, 0};
  put_clean(&out, text, len);
  return out.len;
}

size_t ed_url_target (char *to, size_t room, const ed_url *url, const char *text) {
  sink out = {to, room, 0};
  if (url->path.len == 0) put_byte(&out, '/');
  put_clean(&out, text + url->path.at, url->path.len);
  if (url->query.at > 0) {
    put_byte(&out, '?');
    put_clean(&out, text + url->query.at, url->query.len);
  }
  return out.len;
}

static unsigned hex_value (char c) {
  return is_digit(c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

long ed_url_unescape (char *to, const char *text, size_t len) {
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (c == '%') {
      if (!is_triplet(text + i, len - i)) return ED_URL_EBYTE;
      c = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
      i += 2;
    }
    to[n++] = c;
  }
  return (long)n;
}
