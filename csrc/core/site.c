/* SPDX-License-Identifier: MIT */
/*
** The table of lines: an array of entries and an open hash of their numbers, twice as large.
** An entry is found by the address of the chunk's name, which is a hint only (the chunk may be
** gone and another one live there), and confirmed by the text.
*/
#include "core/site.h"

#include <string.h>

enum { FIRST_ROOM = 16 };

typedef struct site {
  const char *source;
  int line;
  char text[LUA_IDSIZE];
} site;

typedef struct ed_sites {
  unsigned count, room;
  site *at;       /* 'room' entries */
  uint16_t *hash; /* 2 * 'room' of them: number of an entry, or 0 */
} ed_sites;

static unsigned place_of (const ed_sites *s, const char *source, int line) {
  unsigned hash = (unsigned)((uintptr_t)source >> 4) * 31 + (unsigned)line;
  return (hash * 2654435761u >> 8) & (2 * s->room - 1);
}

static bool is_same (const site *s, const lua_Debug *info) {
  return s->source == info->source && s->line == info->currentline
    && strcmp(s->text, info->short_src) == 0;
}

/* Where the number of this line is in the hash, or the free place for it. */
static uint16_t *find (ed_sites *s, const lua_Debug *info) {
  unsigned place = place_of(s, info->source, info->currentline);
  while (s->hash[place] != 0 && !is_same(&s->at[s->hash[place] - 1], info))
    place = (place + 1) & (2 * s->room - 1);
  return &s->hash[place];
}

static void release (ed_mem *mem, ed_sites *s) {
  ed_mem_free(mem, s->at, s->room * sizeof *s->at);
  ed_mem_free(mem, s->hash, 2 * s->room * sizeof *s->hash);
  s->at = NULL;
  s->hash = NULL;
}

static void insert_again (ed_sites *s, unsigned i) {
  unsigned place = place_of(s, s->at[i].source, s->at[i].line);
  while (s->hash[place] != 0) place = (place + 1) & (2 * s->room - 1);
  s->hash[place] = (uint16_t)(i + 1);
}

static bool grow (ed_mem *mem, ed_sites *s) {
  ed_sites old = *s;
  s->room = old.room > 0 ? old.room * 2 : FIRST_ROOM;
  s->at = ed_mem_new(mem, s->room * sizeof *s->at);
  s->hash = ed_mem_new(mem, 2 * s->room * sizeof *s->hash);
  if (s->at == NULL || s->hash == NULL || s->room > ED_SITES_MAX) {
    release(mem, s);
    *s = old;
    return false;
  }
  if (old.count > 0) memcpy(s->at, old.at, old.count * sizeof *s->at);
  memset(s->hash, 0, 2 * s->room * sizeof *s->hash);
  for (unsigned i = 0; i < old.count; i++) insert_again(s, i);
  release(mem, &old);
  return true;
}

static uint16_t add (ed_mem *mem, ed_sites *s, const lua_Debug *info) {
  site *new;
  if (s->count == s->room && !grow(mem, s)) return 0;
  new = &s->at[s->count++];
  new->source = info->source;
  new->line = info->currentline;
  memcpy(new->text, info->short_src, sizeof new->text);
  return *find(s, info) = (uint16_t)s->count;
}

static ed_sites *table_of (ed_loop *loop) {
  if (loop->sites == NULL) loop->sites = ed_loop_calloc(loop, sizeof *loop->sites);
  return loop->sites;
}

uint16_t ed_site_here (lua_State *L, ed_loop *loop) {
  ed_sites *s = table_of(loop);
  lua_Debug info;
  uint16_t found;
  if (s == NULL || !lua_getstack(L, 1, &info)) return 0;
  lua_getinfo(L, "Sl", &info);
  if (info.currentline <= 0) return 0;
  found = s->count > 0 ? *find(s, &info) : 0;
  return found != 0 ? found : add(&loop->mem, s, &info);
}

int ed_site_push (lua_State *L, const ed_loop *loop, uint16_t number) {
  const site *s;
  if (number == 0) return 0;
  s = &loop->sites->at[number - 1];
  lua_pushfstring(L, "%s:%d", s->text, s->line);
  return 1;
}

void ed_site_free (ed_loop *loop) {
  if (loop->sites == NULL) return;
  release(&loop->mem, loop->sites);
  ed_mem_free(&loop->mem, loop->sites, sizeof *loop->sites);
  loop->sites = NULL;
}
