/* SPDX-License-Identifier: MIT */
/*
** Addresses: the first line of the input is a base, the rest a reference. Whatever parses must
** have its pieces in order inside the text and a target that may be sent; what joins must join
** to itself; cleaning twice is cleaning once; escaping can be undone.
*/
#include "proto/url.h"

#include <stdlib.h>
#include <string.h>

#include "proto/http1.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void must (bool ok) {
  if (!ok) abort();
}

static char *reserve (size_t size) {
  char *block = malloc(size + 1);
  must(block != NULL);
  return block;
}

static void check_target (const ed_url *url, const char *text) {
  size_t room = 3 * ((size_t)url->path.len + url->query.len) + 2;
  char *to = reserve(room);
  size_t len = ed_url_target(to, room, url, text);
  must(len <= room && ed_http1_is_target(to, len) && to[0] == '/');
  must(ed_url_target(NULL, 0, url, text) == len);
  free(to);
}

/* Without what needs escaping, and with it escaped, the same address comes out. */
static void check_clean_parse (const ed_url *url, const char *text, size_t len) {
  char *to = reserve(3 * len);
  size_t n = ed_url_clean(to, 3 * len, text, len);
  ed_url again;
  must(ed_url_parse(&again, to, n) == ED_URL_OK && !again.raw);
  must(again.port == url->port && again.host.at == url->host.at);
  must(again.host.len == url->host.len && (again.query.at > 0) == (url->query.at > 0));
  free(to);
}

static void check_parse (const char *text, size_t len) {
  ed_url url;
  int code = ed_url_parse(&url, text, len);
  must(ed_url_error_text(code) != NULL);
  if (code != ED_URL_OK) return;
  must(url.host.len > 0 && url.port > 0);
  must(url.scheme.len + 3 <= url.host.at && url.userinfo.at <= url.host.at);
  must(url.userinfo.at + url.userinfo.len < url.host.at);
  must(url.host.at + url.host.len <= url.path.at);
  must(url.path.at + url.path.len <= len && url.query.at + url.query.len <= len);
  must(url.query.at == 0 || url.query.at == url.path.at + url.path.len + 1);
  if (!url.literal) {
    int port = ed_url_check_authority(text + url.host.at, url.path.at - url.host.at);
    must(port == (url.port_given ? url.port : 0));
  }
  check_target(&url, text);
  check_clean_parse(&url, text, len);
}

/* A result has a scheme, so it stays what it is against any base. */
static void check_join (const char *base, size_t nbase, const char *ref, size_t nref) {
  size_t room = nbase + nref + 1;
  char *to = reserve(room);
  char *again = reserve(2 * room);
  long len = ed_url_join(to, room, base, nbase, ref, nref);
  if (len >= 0) {
    must((size_t)len <= room);
    check_parse(to, (size_t)len);
    if (nref > 0 && ref[0] != '?' && ref[0] != '#') {
      long n = ed_url_join(again, 2 * room, base, nbase, to, (size_t)len);
      must(n == len && memcmp(to, again, (size_t)n) == 0);
    }
  }
  free(again);
  free(to);
}

static void check_escapes (const char *text, size_t len) {
  char *to = reserve(3 * len);
  char *back = reserve(3 * len);
  size_t n = ed_url_escape(to, 3 * len, text, len);
  must(n <= 3 * len && ed_url_unescape(back, to, n) == (long)len);
  must(memcmp(back, text, len) == 0);
  n = ed_url_clean(to, 3 * len, text, len);
  must(n <= 3 * len && ed_url_clean(back, 3 * len, to, n) == n);
  must(memcmp(back, to, n) == 0);
  must(ed_url_unescape(back, text, len) <= (long)len);
  free(back);
  free(to);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  const char *line = size > 0 ? memchr(text, '\n', size) : NULL;
  size_t nbase = line != NULL ? (size_t)(line - text) : size;
  size_t skip = line != NULL ? nbase + 1 : size;
  if (size == 0) return 0;
  check_parse(text, nbase);
  check_parse(text + skip, size - skip);
  ed_url_check_authority(text, nbase);
  check_join(text, nbase, text + skip, size - skip);
  check_escapes(text, size);
  return 0;
}
