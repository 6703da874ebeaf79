/* SPDX-License-Identifier: MIT */
/*
** What the scripts of a runtime may do to the world. A runtime without 'permits' may do
** everything; one in a sandbox has them, and every C function that would open, read, bind, look up
** or start something asks here first. So the check stands at the floor: whoever gets hold of
** an inner function of the library gets no further than through the front door.
**
** Two answers are kept apart: a capability (EDDY_CAP_*) that was not granted raises, since the
** script was not written for this place; a target that the host refuses is `nil, err`.
*/
#ifndef ED_PERMIT_H
#define ED_PERMIT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ed_loop;

/* Constant once the runtime lives: the threads of workers read it too. */
typedef struct ed_permits {
  uint32_t caps; /* EDDY_CAP_* */
  /* Does the host allow this target? Any thread; not called when it is NULL. */
  bool (*ask)(void *host, uint32_t cap, const char *target);
  void (*hold)(void *host); /* one more, or one less, who may call 'ask' */
  void (*release)(void *host);
  void *host;
  size_t memory;                 /* bytes for a worker's state, or 0 */
  void (*confine)(lua_State *L); /* shut the scripts of a new state in */
} ed_permits;

/* Raises EPERM unless all of 'caps' are granted; what comes before the wait begins. */
void ed_permit_check (lua_State *L, const struct ed_loop *loop, uint32_t caps);

/* Does the host allow 'target'? Touches no Lua. */
bool ed_permit_asks (const struct ed_loop *loop, uint32_t cap, const char *target);

/* The same; when it does not: push nil and the error, return 2. Else 0. */
int ed_permit_refused (lua_State *L, const struct ed_loop *loop, uint32_t cap,
  const char *op, const char *target);

/*
** The path that is to be used in place of 'path': without links and dots, as the host saw it.
** Pushes it and returns 1; or pushes nil and an error and returns 2. Raises without the
** capability. Blocks for as long as the system takes to follow the links. Outside of a sandbox
** it is 'path' itself.
*/
int ed_permit_path (lua_State *L, const struct ed_loop *loop, uint32_t cap,
  const char *op, const char *path);

/* May the Unix socket at 'path' be used? As ed_permit_refused; raises without the capability. */
int ed_permit_unix (lua_State *L, uint32_t cap, const char *op, const char *path);

/* Create core.permit and core.permit_path in the table at the top. */
void ed_open_permit (lua_State *L, int box);

#endif
