/* SPDX-License-Identifier: MIT */
/*
** Compiling and matching. A capture is opened and closed by exactly one item each, and no item lies inside
** a repetition: so a match that goes back never has to restore captures, those that count
** are set again on the way to the end.
*/
#include "base/pattern.h"

#include <ctype.h>
#include <string.h>

/* ---- sets ---- */

static void add (ed_item *item, int c) {
  item->set[c >> 3] |= (unsigned char)(1u << (c & 7));
}

static bool has (const ed_item *item, int c) { return item->set[c >> 3] >> (c & 7) & 1; }

static bool is_of_class (int c, int letter) {
  switch (letter) {
    case 'a': return isalpha(c) != 0;
    case 'c': return iscntrl(c) != 0;
    case 'd': return isdigit(c) != 0;
    case 'g': return isgraph(c) != 0;
    case 'l': return islower(c) != 0;
    case 'p': return ispunct(c) != 0;
    case 's': return isspace(c) != 0;
    case 'u': return isupper(c) != 0;
    case 'w': return isalnum(c) != 0;
    case 'x': return isxdigit(c) != 0;
    case 'z': return c == 0; /* as Lua: it is there, and in no manual any more */
    default: return false;
  }
}

/* What '%' and 'letter' stand for: a class, its complement, or the character itself. */
static void add_escaped (ed_item *item, int letter) {
  int low = tolower(letter);
  if (strchr("acdglpsuwxz", low) == NULL || low == 0) {
    add(item, letter);
    return;
  }
  for (int c = 0; c < 256; c++)
    if (is_of_class(c, low) == (letter == low)) add(item, c);
}

static void complement (ed_item *item) {
  for (size_t i = 0; i < sizeof item->set; i++)
    item->set[i] = (unsigned char)~item->set[i];
}

/* ---- compiling ---- */

typedef struct compiler {
  ed_pattern *pattern;
  const unsigned char *at, *end;
  int nitems;
  int open[ED_CAPTURES]; /* captures that have begun, the innermost last */
  int nopen;
  bool is_closed[ED_CAPTURES];
} compiler;

static bool malformed (compiler *c, const char *problem) {
  c->pattern->problem = problem;
  return false;
}

static ed_item *new_item (compiler *c, ed_item_kind kind) {
  ed_item *item = &c->pattern->item[c->nitems++];
  memset(item, 0, sizeof *item);
  item->kind = (unsigned char)kind;
  return item;
}

/* The ']' that ends the set which begins at 'p': the first character is never that. */
static const unsigned char *end_of_set (const compiler *c, const unsigned char *p) {
  if (p < c->end && *p == '^') p++;
  do {
    if (p >= c->end) return NULL;
    if (*p++ == '%' && p < c->end) p++;
  } while (p >= c->end || *p != ']');
  return p;
}

/* Behind '['. */
static bool read_set (compiler *c, ed_item *item) {
  const unsigned char *p = c->at, *end = end_of_set(c, p);
  bool is_complement = p < c->end && *p == '^';
  if (end == NULL) return malformed(c, "malformed pattern (missing ']')");
  if (is_complement) p++;
  while (p < end) {
    int from = *p++;
    if (from == '%') add_escaped(item, *p++);
    else if (p + 1 < end && *p == '-') {
      for (int at = from; at <= p[1]; at++) add(item, at);
      p += 2;
    } else add(item, from);
  }
  c->at = end + 1;
  if (is_complement) complement(item);
  return true;
}

static bool read_balance (compiler *c) {
  ed_item *item = new_item(c, ED_ITEM_BALANCE);
  if (c->end - c->at < 2)
    return malformed(c, "malformed pattern (missing arguments to '%b')");
  item->first = *c->at++;
  item->last = *c->at++;
  return true;
}

static bool read_frontier (compiler *c) {
  ed_item *item = new_item(c, ED_ITEM_FRONTIER);
  if (c->at == c->end || *c->at != '[')
    return malformed(c, "missing '[' after '%f' in pattern");
  c->at++;
  return read_set(c, item);
}

static bool read_again (compiler *c, int digit) {
  int n = digit - '1';
  if (n < 0 || n >= c->pattern->ncaptures || !c->is_closed[n])
    return malformed(c, "invalid capture index in pattern");
  new_item(c, ED_ITEM_AGAIN)->n = (unsigned char)n;
  return true;
}

static bool read_open (compiler *c) {
  int n = c->pattern->ncaptures++;
  bool is_place = c->at < c->end && *c->at == ')';
  if (n >= ED_CAPTURES) return malformed(c, "too many captures");
  new_item(c, is_place ? ED_ITEM_PLACE : ED_ITEM_OPEN)->n = (unsigned char)n;
  c->is_closed[n] = is_place;
  if (is_place) c->at++;
  else c->open[c->nopen++] = n;
  return true;
}

static bool read_close (compiler *c) {
  if (c->nopen == 0) return malformed(c, "invalid pattern capture");
  int n = c->open[--c->nopen];
  c->is_closed[n] = true;
  new_item(c, ED_ITEM_CLOSE)->n = (unsigned char)n;
  return true;
}

/* One character, however it is written, and how often. */
static bool read_one (compiler *c, int first) {
  ed_item *item = new_item(c, ED_ITEM_ONE);
  if (first == '[') {
    if (!read_set(c, item)) return false;
  } else if (first == '.') complement(item);
  else if (first == '%') add_escaped(item, *c->at++);
  else add(item, first);
  if (c->at < c->end && strchr("*+-?", *c->at) != NULL && *c->at != '\0')
    item->times = *c->at++;
  return true;
}

static bool read_escape (compiler *c) {
  int letter;
  if (c->at == c->end) return malformed(c, "malformed pattern (ends with '%')");
  letter = *c->at;
  if (letter != 'b' && letter != 'f' && !isdigit(letter)) return read_one(c, '%');
  c->at++;
  if (letter == 'b') return read_balance(c);
  return letter == 'f' ? read_frontier(c) : read_again(c, letter);
}

static bool read_item (compiler *c) {
  int first = *c->at++;
  if (first == '(') return read_open(c);
  if (first == ')') return read_close(c);
  if (first == '%') return read_escape(c);
  if (first == '$' && c->at == c->end) return new_item(c, ED_ITEM_END) != NULL;
  return read_one(c, first);
}

size_t ed_pattern_size (size_t len) {
  size_t most = (SIZE_MAX - sizeof(ed_pattern)) / sizeof(ed_item) - 1;
  return len < most ? sizeof(ed_pattern) + (len + 1) * sizeof(ed_item) : 0;
}

bool ed_pattern_compile (
  ed_pattern *pattern, const char *text, size_t len, bool may_anchor) {
  compiler c = {pattern, (const unsigned char *)text, (const unsigned char *)text + len,
    0, {0}, 0, {false}};
  pattern->ncaptures = 0;
  pattern->problem = NULL;
  pattern->is_anchored = may_anchor && len > 0 && *text == '^';
  if (pattern->is_anchored) c.at++;
  while (c.at < c.end)
    if (!read_item(&c)) return false;
  if (c.nopen > 0) return malformed(&c, "unfinished capture");
  new_item(&c, ED_ITEM_DONE);
  return true;
}

bool ed_pattern_is_special (const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (text[i] != '\0' && strchr("^$*+?.([%-", text[i]) != NULL) return true;
  return false;
}

/* ---- matching ---- */

static const char *match_from (ed_match *m, const ed_item *item, const char *at);

/* Use up steps; false when the match is over. */
static bool spend (ed_match *m, size_t steps) {
  if (steps < m->steps) {
    m->steps -= steps;
    return true;
  }
  m->steps = 0;
  if (m->problem == NULL) m->problem = "pattern takes more steps than a sandbox allows";
  return false;
}

static bool is_one (const ed_match *m, const ed_item *item, const char *at) {
  return at < m->end && has(item, (unsigned char)*at);
}

/* As many as there are, then ever fewer. */
static const char *match_most (
  ed_match *m, const ed_item *item, const char *at, size_t least) {
  size_t n = 0;
  while (is_one(m, item, at + n)) n++;
  if (!spend(m, n)) return NULL;
  for (n++; n > least && m->problem == NULL; n--) {
    const char *end = match_from(m, item + 1, at + (n - 1));
    if (end != NULL) return end;
  }
  return NULL;
}

/* None, then ever more. */
static const char *match_least (ed_match *m, const ed_item *item, const char *at) {
  for (; m->problem == NULL; at++) {
    const char *end = match_from(m, item + 1, at);
    if (end != NULL) return end;
    if (!is_one(m, item, at)) return NULL;
  }
  return NULL;
}

/* 'item' is one of those that go on by themselves. */
static const char *match_times (ed_match *m, const ed_item *item, const char *at) {
  if (item->times == '-') return match_least(m, item, at);
  return match_most(m, item, at, item->times == '+' ? 1 : 0);
}

/* The character behind the one that closes what 'at' opens, or NULL. */
static const char *skip_balance (ed_match *m, const ed_item *item, const char *at) {
  size_t open = 1;
  if (at >= m->end || (unsigned char)*at != item->first) return NULL;
  for (const char *p = at + 1; p < m->end; p++) {
    int c = (unsigned char)*p;
    if (c == item->last) {
      if (--open == 0) return spend(m, (size_t)(p - at)) ? p + 1 : NULL;
    } else if (c == item->first) open++;
  }
  spend(m, (size_t)(m->end - at));
  return NULL;
}

static bool is_frontier (const ed_match *m, const ed_item *item, const char *at) {
  int before = at == m->text ? '\0' : (unsigned char)at[-1];
  int here = at == m->end ? '\0' : (unsigned char)*at;
  return !has(item, before) && has(item, here);
}

static const char *skip_again (ed_match *m, const ed_item *item, const char *at) {
  size_t len;
  if (m->to[item->n] == NULL) return NULL; /* a position is no text */
  len = (size_t)(m->to[item->n] - m->from[item->n]);
  if ((size_t)(m->end - at) < len || !spend(m, len)) return NULL;
  return memcmp(m->from[item->n], at, len) == 0 ? at + len : NULL;
}

/* Where the item ends that stands for itself, or NULL. */
static const char *match_item (ed_match *m, const ed_item *item, const char *at) {
  switch (item->kind) {
    case ED_ITEM_ONE: return is_one(m, item, at) ? at + 1 : NULL;
    case ED_ITEM_OPEN: m->from[item->n] = at; return at;
    case ED_ITEM_CLOSE: m->to[item->n] = at; return at;
    case ED_ITEM_PLACE:
      m->from[item->n] = at;
      m->to[item->n] = NULL;
      return at;
    case ED_ITEM_AGAIN: return skip_again(m, item, at);
    case ED_ITEM_BALANCE: return skip_balance(m, item, at);
    case ED_ITEM_FRONTIER: return is_frontier(m, item, at) ? at : NULL;
    default: return at == m->end ? at : NULL; /* the end */
  }
}

static const char *match_row (ed_match *m, const ed_item *item, const char *at) {
  for (; item->kind != ED_ITEM_DONE; item++) {
    if (!spend(m, 1)) return NULL;
    if (item->times == '?') { /* without it the row goes on, no deeper */
      const char *end = is_one(m, item, at) ? match_from(m, item + 1, at + 1) : NULL;
      if (end != NULL || m->problem != NULL) return end;
      continue;
    }
    if (item->times != 0) return match_times(m, item, at);
    if ((at = match_item(m, item, at)) == NULL) return NULL;
  }
  return at;
}

static const char *match_from (ed_match *m, const ed_item *item, const char *at) {
  const char *end;
  if (m->depth >= ED_PATTERN_DEPTH) {
    m->problem = "pattern too complex";
    return NULL;
  }
  m->depth++;
  end = match_row(m, item, at);
  m->depth--;
  return end;
}

const char *ed_pattern_match (ed_match *m, const char *at) {
  return match_from(m, m->pattern->item, at);
}

const char *ed_pattern_plain (ed_match *m, const char *at, const char *part, size_t len) {
  if (len == 0) return at;
  for (; (size_t)(m->end - at) >= len; at++) {
    const char *first = memchr(at, (unsigned char)*part, (size_t)(m->end - at) - len + 1);
    if (first == NULL || !spend(m, 1 + len / 16)) return NULL;
    if (memcmp(first, part, len) == 0) return first;
    at = first;
  }
  return NULL;
}
