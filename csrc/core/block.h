/* SPDX-License-Identifier: MIT */
/*
** Blocks: the scopes that a script opens. A block in function form runs its function with
** lua_pcallk, waits for the children that were spawned into it, and decides what leaves it:
** the results, the first failure, several failures as a group, a timeout, or somebody else's
** cancellation. It absorbs its own cancellation and no other.
**
** The block's memory is taken through the runtime and freed on the one way out, which is the
** continuation, or by the kill of its task.
*/
#ifndef ED_BLOCK_H
#define ED_BLOCK_H

#include "core/loop.h"

typedef enum ed_block_verb {
  ED_BLOCK_GROUP,
  ED_BLOCK_TIMEOUT,
  ED_BLOCK_WITHIN,
  ED_BLOCK_SHIELD,
  ED_BLOCK_GATHER /* members of gather, settle, race, any */
} ed_block_verb;

typedef struct ed_block ed_block;

/* What a script holds of a group; 'block' is NULL once the group has ended. */
typedef struct ed_group {
  ed_block *block;
} ed_group;

struct ed_block {
  ed_scope scope;
  ed_timer timer;  /* of the deadline, or of a besieged shield */
  uint64_t due;    /* the deadline; UINT64_MAX: none */
  uint64_t grace;  /* of a shield, in ns */
  ed_group *group; /* the box, if a script holds one */
  uint32_t order;  /* failures of children before the body's */
  uint8_t verb;
  bool has_promise; /* a place in the timer heap is kept for us */
  bool has_failed;  /* the body ended by an error or a cancellation */
  bool has_joined;  /* children were waited for */
};

/* Open a block inside the running task's innermost scope; raises when memory is short. */
ed_block *ed_block_open (
  lua_State *L, ed_task *task, ed_block_verb verb, ed_scope_kind kind);

/* Give it a deadline; raises when memory is short (the block stays open). */
void ed_block_arm (lua_State *L, ed_block *block, uint64_t due);

/* Close and free the block; nothing may be alive in it. */
void ed_block_close (lua_State *L, ed_block *block);

/* The innermost block goes, whatever state it is in (kill of its task). No Lua but forgetting. */
void ed_block_discard (lua_State *L, ed_block *block);

/* "timeout", "group" ...: what opened the block whose scope this is. */
const char *ed_block_name (const ed_scope *scope);

/* The timer of a block's scope has fired. */
void ed_block_fire (ed_block *block);

/* A cancellation stands before this shield: start its grace, if that has not begun. */
void ed_block_besieged (ed_scope *shield);

/* The earliest deadline of the unshielded scopes around; UINT64_MAX if there is none. */
uint64_t ed_block_deadline (const ed_scope *from);

void ed_open_block (lua_State *L, ed_loop *loop, int box);

#endif
