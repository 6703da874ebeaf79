/* SPDX-License-Identifier: MIT */
/*
** Addresses: what is accepted and into what it falls apart, what is refused and why, the
** examples of RFC 3986 section 5.4, and that escaping, cleaning and joining stay in their room.
*/
#include "proto/url.h"

#include "test.h"

typedef struct good {
  const char *text;
  const char *userinfo; /* NULL: none */
  const char *host;
  int port;
  const char *path;
  const char *query; /* NULL: none */
  const char *target;
} good;

static const good goods[] = {
  {"http://a", NULL, "a", 80, "", NULL, "/"},
  {"https://a", NULL, "a", 443, "", NULL, "/"},
  {"HTTP://A/", NULL, "A", 80, "/", NULL, "/"},
  {"hTTpS://a.b-c.d_e:8443/x/y", NULL, "a.b-c.d_e", 8443, "/x/y", NULL, "/x/y"},
  {"http://a:65535?", NULL, "a", 65535, "", "", "/?"},
  {"http://a:/x", NULL, "a", 80, "/x", NULL, "/x"},
  {"http://a:00080/", NULL, "a", 80, "/", NULL, "/"},
  {"http://a?b=c", NULL, "a", 80, "", "b=c", "/?b=c"},
  {"http://a#f?g", NULL, "a", 80, "", NULL, "/"},
  {"http://a/b#", NULL, "a", 80, "/b", NULL, "/b"},
  {"http://a/b?c#d?e", NULL, "a", 80, "/b", "c", "/b?c"},
  {"http://a/b?c?d/e:@", NULL, "a", 80, "/b", "c?d/e:@", "/b?c?d/e:@"},
  {"http://u@a/", "u", "a", 80, "/", NULL, "/"},
  {"http://u:p%40:q@a:1/", "u:p%40:q", "a", 1, "/", NULL, "/"},
  {"http://@a/", "", "a", 80, "/", NULL, "/"},
  {"http://a/@b:c", NULL, "a", 80, "/@b:c", NULL, "/@b:c"},
  {"http://[::1]/", NULL, "::1", 80, "/", NULL, "/"},
  {"http://u@[::1]:81?q", "u", "::1", 81, "", "q", "/?q"},
  {"http://[2001:DB8::1:0]:443", NULL, "2001:DB8::1:0", 443, "", NULL, "/"},
  {"http://127.0.0.1:8080//x", NULL, "127.0.0.1", 8080, "//x", NULL, "//x"},
  {"http://a!$&'()*+,;=~/", NULL, "a!$&'()*+,;=~", 80, "/", NULL, "/"},
  {"http://a/%41%zz%", NULL, "a", 80, "/%41%zz%", NULL, "/%41%25zz%25"},
  {"http://a/\xc3\xbc?\xff", NULL, "a", 80, "/\xc3\xbc", "\xff", "/%C3%BC?%FF"},
  {"http://a/{b}|^`\"<>?[c]", NULL, "a", 80, "/{b}|^`\"<>", "[c]",
    "/%7Bb%7D%7C%5E%60%22%3C%3E?[c]"},
};

static void check_good (const good *want) {
  char target[256];
  size_t len = strlen(want->text);
  char *text = test_copy(want->text, len);
  ed_url url;
  if (CHECK_EQ_FOR(want->text, ed_url_parse(&url, text, len), ED_URL_OK)) {
    CHECK_TEXT(text + url.host.at, url.host.len, want->host);
    CHECK_TEXT(text + url.path.at, url.path.len, want->path);
    CHECK_TEXT(text + url.query.at, url.query.len, want->query ? want->query : "");
    CHECK_TEXT(
      text + url.userinfo.at, url.userinfo.len, want->userinfo ? want->userinfo : "");
    CHECK_FOR(want->text, (url.query.at > 0) == (want->query != NULL));
    CHECK_FOR(want->text, (url.userinfo.at > 0) == (want->userinfo != NULL));
    CHECK_EQ_FOR(want->text, url.port, want->port);
    CHECK_FOR(want->text, url.literal == (strchr(want->host, ':') != NULL));
    CHECK_FOR(want->text, url.secure == (url.scheme.len == 5));
    len = ed_url_target(target, sizeof target, &url, text);
    CHECK_TEXT(target, len, want->target);
    CHECK_FOR(want->text,
      url.raw == (strchr(want->target, '%') && !strstr(want->text, want->target)));
  }
  free(text);
}

static void accepts (void) {
  ed_url url;
  for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) check_good(&goods[i]);
  CHECK(ed_url_parse(&url, "http://a:80/", 12) == ED_URL_OK && url.port_given);
  CHECK(ed_url_parse(&url, "http://a:/", 10) == ED_URL_OK && !url.port_given);
}

typedef struct bad {
  const char *text;
  size_t len;
  int code;
} bad;

#define T(s) s, sizeof s - 1

static const bad bads[] = {
  {T(""), ED_URL_ESCHEME},
  {T("http"), ED_URL_ESCHEME},
  {T("http:"), ED_URL_ESCHEME},
  {T("http:/"), ED_URL_ESCHEME},
  {T("http:/a"), ED_URL_ESCHEME},
  {T("http:a"), ED_URL_ESCHEME},
  {T("//a/"), ED_URL_ESCHEME},
  {T("/a"), ED_URL_ESCHEME},
  {T("a"), ED_URL_ESCHEME},
  {T("ftp://a/"), ED_URL_ESCHEME},
  {T("file:///etc/passwd"), ED_URL_ESCHEME},
  {T("httpx://a/"), ED_URL_ESCHEME},
  {T("javascript:alert(1)"), ED_URL_ESCHEME},
  {T("http\x1a//a"), ED_URL_EBYTE},
  {T("http://"), ED_URL_EHOST},
  {T("http:///"), ED_URL_EHOST},
  {T("http://:80/"), ED_URL_EHOST},
  {T("http://u@/"), ED_URL_EHOST},
  {T("http://?q"), ED_URL_EHOST},
  {T("http://#"), ED_URL_EHOST},
  {T("http://a@b@c/"), ED_URL_EHOST},
  {T("http://a%zz/"), ED_URL_EHOST},
  {T("http://a%/"), ED_URL_EHOST},
  {T("http://a%0d%0ab/"), ED_URL_EHOST},
  {T("http://a%41/"), ED_URL_EHOST},
  {T("http://\xc3\xbc.de/"), ED_URL_EHOST},
  {T("http://a<b/"), ED_URL_EHOST},
  {T("http://a\"/"), ED_URL_EHOST},
  {T("http://a[::1]/"), ED_URL_EHOST},
  {T("http://a]/"), ED_URL_EHOST},
  {T("http://[::1/"), ED_URL_EHOST},
  {T("http://["), ED_URL_EHOST},
  {T("http://[]"), ED_URL_EHOST},
  {T("http://[::1]a/"), ED_URL_EHOST},
  {T("http://[::1]]/"), ED_URL_EHOST},
  {T("http://[v1.a]/"), ED_URL_EHOST},
  {T("http://[fe80::1%25eth0]/"), ED_URL_EHOST},
  {T("http://[1.2.3.4]/"), ED_URL_EHOST},
  {T("http://u\"@a/"), ED_URL_EUSER},
  {T("http://u%4@a/"), ED_URL_EUSER},
  {T("http://\xff@a/"), ED_URL_EUSER},
  {T("http://u[@a/"), ED_URL_EUSER},
  {T("http://a:0/"), ED_URL_EPORT},
  {T("http://a:00/"), ED_URL_EPORT},
  {T("http://a:65536/"), ED_URL_EPORT},
  {T("http://a:99999999999999999999/"), ED_URL_EPORT},
  {T("http://a:+80/"), ED_URL_EPORT},
  {T("http://a:-1/"), ED_URL_EPORT},
  {T("http://a:8x/"), ED_URL_EPORT},
  {T("http://a:80:80/"), ED_URL_EPORT},
  {T("http://[::1]:x/"), ED_URL_EPORT},
  {T("http://::1/"), ED_URL_EHOST},
  {T("http://1::2/"), ED_URL_EPORT},
  {T(" http://a/"), ED_URL_EBYTE},
  {T("http://a/ "), ED_URL_EBYTE},
  {T("http://a/b c"), ED_URL_EBYTE},
  {T("http://a b/"), ED_URL_EBYTE},
  {T("http://a\\@b/"), ED_URL_EBYTE},
  {T("http://a/b\\c"), ED_URL_EBYTE},
  {T("http:\\\\a/"), ED_URL_EBYTE},
  {T("http://a/\0"), ED_URL_EBYTE},
  {T("http://a\0.b/"), ED_URL_EBYTE},
  {T("http://a/\r\nX: y"), ED_URL_EBYTE},
  {T("http://a/\n"), ED_URL_EBYTE},
  {T("http://a/\t"), ED_URL_EBYTE},
  {T("http://a/\x7f"), ED_URL_EBYTE},
  {T("http://a/#\n"), ED_URL_EBYTE},
};

static void refuses (void) {
  for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
    char *text = test_copy(bads[i].text, bads[i].len);
    ed_url url;
    CHECK_EQ_FOR(bads[i].text, ed_url_parse(&url, text, bads[i].len), bads[i].code);
    free(text);
  }
}

/* Each control byte, the space, the backslash and DEL, at each place of an address. */
static void refuses_bytes_everywhere (void) {
  const char base[] = "http://u:p@host:80/path?query#frag";
  for (int c = 0; c < 128; c++) {
    bool is_bad = c <= ' ' || c == '\\' || c == 127;
    for (size_t at = 0; is_bad && at < sizeof base; at++) {
      char text[sizeof base];
      ed_url url;
      memcpy(text, base, at);
      text[at] = (char)c;
      memcpy(text + at + 1, base + at, sizeof base - 1 - at);
      CHECK_EQ_FOR(base + at, ed_url_parse(&url, text, sizeof base), ED_URL_EBYTE);
    }
  }
}

static void knows_ipv6 (void) {
  static const char *const yes[] = {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1::8",
    "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3::5:6:7:8", "::1.2.3.4", "::ffff:1.2.3.4",
    "1:2:3:4:5:6:255.255.255.255", "1:2:3:4:5::0.0.0.0", "abcd:EF01::"};
  static const char *const no[] = {":", ":::", "1", "1:", ":1", "1:2", "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2::3",
    "12345::", "g::", "1:::2", "::1:", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256",
    "::01.2.3.4", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "1.2.3.4::", "::.1.2.3",
    "::1..2.3", "::1.2.3.", "::-1", "::1%1", ":1::", "::1.2.3.04"};
  char text[80];
  for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
    int n = snprintf(text, sizeof text, "[%s]", yes[i]);
    CHECK_EQ_FOR(yes[i], ed_url_check_authority(text, (size_t)n), 0);
  }
  for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
    int n = snprintf(text, sizeof text, "[%s]", no[i]);
    CHECK_EQ_FOR(no[i], ed_url_check_authority(text, (size_t)n), ED_URL_EHOST);
  }
}

static void checks_authorities (void) {
  CHECK_EQ(ed_url_check_authority(T("a")), 0);
  CHECK_EQ(ed_url_check_authority(T("a:")), 0);
  CHECK_EQ(ed_url_check_authority(T("a:1")), 1);
  CHECK_EQ(ed_url_check_authority(T("[::1]:65535")), 65535);
  CHECK_EQ(ed_url_check_authority(T("")), ED_URL_EHOST);
  CHECK_EQ(ed_url_check_authority(T(":80")), ED_URL_EHOST);
  CHECK_EQ(ed_url_check_authority(T("u@a")), ED_URL_EHOST);
  CHECK_EQ(ed_url_check_authority(T("a/")), ED_URL_EHOST);
  CHECK_EQ(ed_url_check_authority(T("a b")), ED_URL_EHOST);
  CHECK_EQ(ed_url_check_authority(T("a\0")), ED_URL_EHOST);
  CHECK_EQ(ed_url_check_authority(T("[::1\0")), ED_URL_EHOST);
  CHECK_EQ(ed_url_check_authority(T("[::1]\0")), ED_URL_EHOST);
  CHECK_EQ(ed_url_check_authority(T("a:0")), ED_URL_EPORT);
  CHECK_EQ(ed_url_check_authority(T("a:65536")), ED_URL_EPORT);
  CHECK_EQ(ed_url_check_authority(T("a:1 ")), ED_URL_EPORT);
}

/* ---- Joining ---- */

typedef struct joined {
  const char *ref;
  const char *result;
} joined;

/* RFC 3986, 5.4.1 and 5.4.2, against "http://a/b/c/d;p?q". */
static const joined examples[] = {
  {"g:h", "g:h"},
  {"g", "http://a/b/c/g"},
  {"./g", "http://a/b/c/g"},
  {"g/", "http://a/b/c/g/"},
  {"/g", "http://a/g"},
  {"//g", "http://g"},
  {"?y", "http://a/b/c/d;p?y"},
  {"g?y", "http://a/b/c/g?y"},
  {"#s", "http://a/b/c/d;p?q#s"},
  {"g#s", "http://a/b/c/g#s"},
  {"g?y#s", "http://a/b/c/g?y#s"},
  {";x", "http://a/b/c/;x"},
  {"g;x", "http://a/b/c/g;x"},
  {"g;x?y#s", "http://a/b/c/g;x?y#s"},
  {"", "http://a/b/c/d;p?q"},
  {".", "http://a/b/c/"},
  {"./", "http://a/b/c/"},
  {"..", "http://a/b/"},
  {"../", "http://a/b/"},
  {"../g", "http://a/b/g"},
  {"../..", "http://a/"},
  {"../../", "http://a/"},
  {"../../g", "http://a/g"},
  {"../../../g", "http://a/g"},
  {"../../../../g", "http://a/g"},
  {"/./g", "http://a/g"},
  {"/../g", "http://a/g"},
  {"g.", "http://a/b/c/g."},
  {".g", "http://a/b/c/.g"},
  {"g..", "http://a/b/c/g.."},
  {"..g", "http://a/b/c/..g"},
  {"./../g", "http://a/b/g"},
  {"./g/.", "http://a/b/c/g/"},
  {"g/./h", "http://a/b/c/g/h"},
  {"g/../h", "http://a/b/c/h"},
  {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
  {"g;x=1/../y", "http://a/b/c/y"},
  {"g?y/./x", "http://a/b/c/g?y/./x"},
  {"g?y/../x", "http://a/b/c/g?y/../x"},
  {"g#s/./x", "http://a/b/c/g#s/./x"},
  {"g#s/../x", "http://a/b/c/g#s/../x"},
  {"http:g", "http:g"},
  /* ours */
  {"https://x/y/../z", "https://x/z"},
  {"//g/./h/..", "http://g/"},
  {"?", "http://a/b/c/d;p?"},
  {"#", "http://a/b/c/d;p?q#"},
  {"/", "http://a/"},
  {"/..", "http://a/"},
  {"/a/b/../..", "http://a/"},
  {"/a//../b", "http://a/a/b"},
  {"g//h", "http://a/b/c/g//h"},
  {"///x", "http:///x"},
  {"1:2", "http://a/b/c/1:2"},
  {":x", "http://a/b/c/:x"},
  {"x:", "x:"},
};

static long join (char *to, size_t room, const char *base, const char *ref) {
  return ed_url_join(to, room, base, strlen(base), ref, strlen(ref));
}

static void check_join (const char *base, const char *ref, const char *want) {
  size_t room = strlen(base) + strlen(ref) + 1;
  char *to = malloc(room);
  long len = join(to, room, base, ref);
  if (CHECK_FOR(ref, len >= 0)) CHECK_TEXT(to, (size_t)len, want);
  CHECK_EQ_FOR(ref, join(to, room - 1, base, ref), ED_URL_EROOM);
  free(to);
}

static void joins (void) {
  for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
    check_join("http://a/b/c/d;p?q", examples[i].ref, examples[i].result);
  check_join("http://a", "g", "http://a/g");
  check_join("http://a", "", "http://a");
  check_join("http://a?q", "g", "http://a/g");
  check_join("http://a?q", "?r", "http://a?r");
  check_join("http://a#f", "", "http://a");
  check_join("http://a/b/", "g", "http://a/b/g");
  check_join("http://u:p@a:8/b", "../g?h", "http://u:p@a:8/g?h");
  check_join("http://a/b?c/d/e", "g", "http://a/g");
  check_join("http://a/../b/./c", "", "http://a/../b/./c");
  check_join("mailto:x", "y", "mailto:y");
}

static void refuses_to_join (void) {
  char to[100];
  CHECK_EQ(join(to, sizeof to, "/a/b", "c"), ED_URL_ESCHEME);
  CHECK_EQ(join(to, sizeof to, "", "http://a/"), ED_URL_ESCHEME);
  CHECK_EQ(join(to, sizeof to, "http://a/", "b c"), ED_URL_EBYTE);
  CHECK_EQ(join(to, sizeof to, "http://a/", "/\\evil"), ED_URL_EBYTE);
  CHECK_EQ(join(to, sizeof to, "http://a/", "b\r\nX: y"), ED_URL_EBYTE);
  CHECK_EQ(join(to, sizeof to, "http://a\n/", "b"), ED_URL_EBYTE);
  CHECK_EQ(join(to, sizeof to, "http://a/", "x:/y/..//z"), ED_URL_EHOST);
}

/* What quadratic code would need minutes for. */
static void joins_in_linear_time (void) {
  enum { N = 1000000 };
  const char base[] = "http://a/";
  size_t room = 6 * N + sizeof base;
  char *ref = malloc(6 * N);
  char *to = malloc(room);
  memset(ref, 'a', N);
  CHECK_EQ(ed_url_join(to, room, base, sizeof base - 1, ref, N), N + 9);
  for (size_t i = 0; i < N; i++) memcpy(ref + 2 * i, "a/", 2);
  for (size_t i = 0; i < N; i++) memcpy(ref + 2 * N + 3 * i, "../", 3);
  CHECK_EQ(ed_url_join(to, room, base, sizeof base - 1, ref, 5 * N), 9);
  for (size_t i = 0; i < N; i++) memcpy(ref + 5 * i, "x/../", 5);
  CHECK_EQ(ed_url_join(to, room, base, sizeof base - 1, ref, 5 * N), 9);
  free(ref);
  free(to);
}

/* ---- Percent-encoding ---- */

static void escapes (void) {
  char to[64];
  char all[256];
  char big[3 * 256];
  CHECK_TEXT(to, ed_url_escape(to, sizeof to, T("a b/c?d&e=f+g%\xfc-._~")),
    "a%20b%2Fc%3Fd%26e%3Df%2Bg%25%FC-._~");
  CHECK_EQ(ed_url_escape(to, sizeof to, "", 0), 0);
  to[4] = '!';
  CHECK_EQ(ed_url_escape(to, 4, T("   ")), 9);
  CHECK_EQ(to[4], '!');
  CHECK_EQ(ed_url_escape(NULL, 0, T("\0\n")), 6);
  for (int i = 0; i < 256; i++) all[i] = (char)i;
  CHECK_EQ(ed_url_escape(big, sizeof big, all, 256), 66 + 3 * 190);
  CHECK_EQ(ed_url_unescape(big, big, 66 + 3 * 190), 256);
  CHECK(memcmp(big, all, 256) == 0);
}

static void unescapes (void) {
  char to[64];
  CHECK_TEXT(to, (size_t)ed_url_unescape(to, T("a%20b+%2f%C3%bc")), "a b+/\xc3\xbc");
  CHECK_EQ(ed_url_unescape(to, T("%")), ED_URL_EBYTE);
  CHECK_EQ(ed_url_unescape(to, T("%4")), ED_URL_EBYTE);
  CHECK_EQ(ed_url_unescape(to, T("%4g")), ED_URL_EBYTE);
  CHECK_EQ(ed_url_unescape(to, T("%%41")), ED_URL_EBYTE);
  CHECK_EQ(ed_url_unescape(to, T("")), 0);
}

static void cleans (void) {
  char to[128];
  char again[128];
  size_t len = ed_url_clean(
    to, sizeof to, T("http://[::1]/a b/%41%4\xc3\xbc?[]\"\n\\#|\x7f"));
  CHECK_TEXT(to, len, "http://[::1]/a%20b/%41%254%C3%BC?[]%22%0A%5C#%7C%7F");
  CHECK_EQ(ed_url_clean(again, sizeof again, to, len), (long)len);
  CHECK(memcmp(to, again, len) == 0);
}

static void explains (void) {
  for (int code = ED_URL_EROOM; code <= ED_URL_OK; code++)
    CHECK(strlen(ed_url_error_text(code)) > 5);
  CHECK(strcmp(ed_url_error_text(-99), "invalid URL") == 0);
  CHECK(strcmp(ed_url_error_text(99), "invalid URL") == 0);
}

int main (void) {
  accepts();
  refuses();
  refuses_bytes_everywhere();
  knows_ipv6();
  checks_authorities();
  joins();
  refuses_to_join();
  joins_in_linear_time();
  escapes();
  unescapes();
  cleans();
  explains();
  return test_report();
}
