/* SPDX-License-Identifier: MIT */
/*
** The operation behind gather, settle, race and any, as those that start it, answer it and give it up
** see it.
*/
#ifndef ED_GATHERING_H
#define ED_GATHERING_H

#include <lauxlib.h>

#include "core/block.h"

typedef enum gather_mode {
  GATHER_ALL,
  GATHER_SETTLE,
  GATHER_RACE,
  GATHER_ANY
} gather_mode;

typedef struct gathering gathering;

typedef struct member {
  ed_watch watch;
  gathering *all;
  ed_task *task;  /* NULL: it has ended, and is not ours */
  uint32_t order; /* of ending, from 1; 0: not ended */
  uint8_t state;  /* ed_task_state, once it has */
  bool is_own;    /* made here: held for us */
  bool is_last;   /* of those who were told of its end */
} member;

struct gathering {
  ed_op op; /* first */
  ed_block *block;
  ed_sweep sweep; /* its members are to be cancelled */
  uint32_t room;  /* rows; 'n' of them are filled */
  uint32_t n, left, ended;
  uint32_t winner; /* race, any: index + 1 */
  ed_scope *cause; /* of the outer cancellation that came before the last end, or NULL */
  uint8_t mode;
  bool is_list;     /* the members came in a table */
  bool is_copied;   /* which is our own by now */
  bool is_stopping; /* decided: the rest was told to end */
  bool is_finished; /* the caller has its answer */
  member row[];
};

/* Push member 'i' as the caller gave it; L is the caller's. */
static inline void ed_gathering_push_argument (
  lua_State *L, const gathering *g, uint32_t i) {
  if (g->is_list) lua_rawgeti(L, 1, (lua_Integer)i + 1);
  else lua_pushvalue(L, (int)i + 1);
}

/* The caller is killed with its answer in hand. */
void ed_gathering_give_back (lua_State *co, ed_op *op);

/* The caller is killed while members live. */
void ed_gathering_withdraw (ed_op *op);

#endif
