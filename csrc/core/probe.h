/* SPDX-License-Identifier: MIT */
/*
** What a test may do to a runtime: look at it between two resumes, order its ready tasks by a
** seed, collect garbage at every chance, be told when real time is over, and name what a run
** has left behind. config{seed=} and eddy.testing make a probe; a runtime without one pays one
** compare a turn and one for each permit.
**
** Promises: with a seed the order of tasks that are ready at the same time depends on the seed
** and on what happens in the run, and on nothing else; nothing is allocated for it. Hooks are
** called between two resumes, outside any task; what one raises leaves the run.
*/
#ifndef ED_PROBE_H
#define ED_PROBE_H

#include "core/loop.h"

struct ed_probe {
  ed_link batch;   /* ready tasks of this turn; those made ready now belong to the next */
  uint64_t seed;   /* of config */
  uint64_t random; /* state of the generator, set from the seed when a run begins */
  uint64_t late_at; /* in real ns: when the 'late' hook is due; 0: never */
  int hooks;        /* registry: {point=, late=, ended=} */
  int held;         /* registry: what must be given back -> where it was taken */
  bool has_point; /* call 'point' before each resume and behind the last one of a turn */
  bool has_ended; /* call 'ended' when the root task has; note what is taken and where */
  bool is_shuffling;  /* a seed is set */
  bool is_collecting; /* a full collection before each resume */
};

/* Take the seed at the top of the stack (popped; an integer; nil or false: none). */
void ed_probe_seed (lua_State *L, ed_loop *loop);

/* A run begins. */
void ed_probe_begin (ed_probe *probe);

/* The root task has ended, what else is alive goes on. May raise what the hook raises. */
void ed_probe_ended (ed_loop *loop);

/* In place of ed_loop_run_ready. May raise what a hook raises. */
void ed_probe_turn (ed_loop *loop);

/* How long libuv may block when it wants to do so for 'ms'. */
uint64_t ed_probe_patience (const ed_probe *probe, uint64_t ms);

/* The value at 'index' must be given back; 'what' names it ("permit"). It may raise. */
void ed_probe_note_hold (lua_State *L, ed_loop *loop, int index, const char *what);

/* It was given back. Allocates nothing. */
void ed_probe_note_release (lua_State *L, ed_loop *loop, int index);

/* Free the probe of a runtime that is closed. */
void ed_probe_free (ed_loop *loop);

/* Put probe.files into the table at the top (core/probe_files.c). */
void ed_probe_open_files (lua_State *L);

/* The table core.probe. */
void ed_open_probe (lua_State *L, int box);

#endif
