/* SPDX-License-Identifier: MIT */
/*
** Lua's patterns, with a bound on the work: a script that is not trusted can otherwise hold a thread for
** years with thirty characters, inside one call that nothing interrupts.
**
** A pattern is compiled into a row of items, one for each thing that is matched, then matched by
** backtracking over the row; each character looked at is a step, and when the steps are used up the match
** is over. What is matched is what the manual of Lua 5.4 says; a malformed pattern is refused
** before anything is matched, also where Lua would not have come to its bad part.
*/
#ifndef ED_PATTERN_H
#define ED_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ED_CAPTURES = 32, ED_PATTERN_DEPTH = 200 };

typedef enum ed_item_kind {
  ED_ITEM_ONE,      /* a character of 'set', 'times' often */
  ED_ITEM_OPEN,     /* capture 'n' begins */
  ED_ITEM_CLOSE,    /* capture 'n' ends */
  ED_ITEM_PLACE,    /* capture 'n' is this position */
  ED_ITEM_AGAIN,    /* what capture 'n' holds */
  ED_ITEM_BALANCE,  /* from 'first' to the 'last' that belongs to it */
  ED_ITEM_FRONTIER, /* from outside of 'set' into it */
  ED_ITEM_END,      /* the end of the subject */
  ED_ITEM_DONE
} ed_item_kind;

typedef struct ed_item {
  unsigned char kind;
  unsigned char times; /* 0: once; or one of "*+-?" */
  unsigned char n;
  unsigned char first, last;
  unsigned char set[32]; /* a bit for each character */
} ed_item;

typedef struct ed_pattern {
  int ncaptures;
  bool is_anchored;
  const char *problem; /* what is malformed, or NULL */
  ed_item item[];      /* as many as the pattern has bytes, and one */
} ed_pattern;

/* Bytes that a compiled pattern of so many bytes needs; 0 when that is too many. */
size_t ed_pattern_size (size_t len);

/* Compile; false with 'problem' when it is malformed. '^' is special if 'may_anchor'. */
bool ed_pattern_compile (
  ed_pattern *pattern, const char *text, size_t len, bool may_anchor);

typedef struct ed_match {
  const ed_pattern *pattern;
  const char *text, *end;
  uint64_t steps;      /* that are left */
  const char *problem; /* why it is over, or NULL */
  int depth;
  const char *from[ED_CAPTURES];
  const char *to[ED_CAPTURES]; /* NULL: the capture is a position */
} ed_match;

/* Where a match that begins at 'at' ends, or NULL; look at 'problem' then. */
const char *ed_pattern_match (ed_match *match, const char *at);

/* Where 'part' is found in the text, or NULL; costs steps as well. */
const char *ed_pattern_plain (
  ed_match *match, const char *at, const char *part, size_t len);

/* Does the text have characters that are special in a pattern? */
bool ed_pattern_is_special (const char *text, size_t len);

#endif
