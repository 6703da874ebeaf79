/* SPDX-License-Identifier: MIT */
/*
** Asking for permission, and making paths plain so that the host can judge them.
*/
#include "core/permit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/class.h"
#include "core/error.h"
#include "eddy.h"

static const struct cap_row {
  uint32_t cap;
  const char *name;
} cap_rows[] = {
  {EDDY_CAP_READ, "read"},
  {EDDY_CAP_WRITE, "write"},
  {EDDY_CAP_CONNECT, "connect"},
  {EDDY_CAP_LISTEN, "listen"},
  {EDDY_CAP_DNS, "dns"},
  {EDDY_CAP_PROCESS, "process"},
  {EDDY_CAP_ENV, "env"},
  {EDDY_CAP_SIGNAL, "signal"},
  {EDDY_CAP_OFFLOAD, "offload"},
  {0, NULL},
};

static const char *name_of (uint32_t caps) {
  const struct cap_row *row = cap_rows;
  while (row->name != NULL && !(row->cap & caps)) row++;
  return row->name;
}

void ed_permit_check (lua_State *L, const ed_loop *loop, uint32_t caps) {
  uint32_t missing = loop->permits != NULL ? caps & ~loop->permits->caps : 0;
  if (missing == 0) return;
  lua_pushfstring(L, "capability '%s' not granted", name_of(missing));
  ed_error_push(L, "permission", "EPERM", NULL, NULL, lua_tostring(L, -1));
  lua_error(L);
}

bool ed_permit_asks (const ed_loop *loop, uint32_t cap, const char *target) {
  const ed_permits *permits = loop->permits;
  if (permits == NULL || permits->ask == NULL) return true;
  return permits->ask(permits->host, cap, target);
}

static int refuse (lua_State *L, const char *op, const char *target) {
  return ed_error_fail(
    L, "permission", "EACCES", op, target, "the host does not allow it");
}

int ed_permit_refused (
  lua_State *L, const ed_loop *loop, uint32_t cap, const char *op, const char *target) {
  return ed_permit_asks(loop, cap, target) ? 0 : refuse(L, op, target);
}

/* ---- paths ---- */

/* The real folder of a file that is not there yet, and its name: a malloc'd path or NULL. */
static char *real_of_new (const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
  size_t len = slash != NULL ? (size_t)(slash - path) : 0, all;
  char *folder, *real, *joined;
  if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return NULL;
  folder = slash == NULL ? strdup(".") : strndup(path, len > 0 ? len : 1);
  real = folder != NULL ? realpath(folder, NULL) : NULL;
  free(folder);
  if (real == NULL) return NULL;
  all = strlen(real) + strlen(name) + 2;
  if ((joined = malloc(all)) != NULL)
    snprintf(joined, all, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
  free(real);
  return joined;
}

static char *real_of (const char *path) {
  char *real = realpath(path, NULL);
  if (real != NULL || errno != ENOENT) return real;
  real = real_of_new(path);
  if (real == NULL) errno = ENOENT;
  return real;
}

int ed_permit_path (
  lua_State *L, const ed_loop *loop, uint32_t cap, const char *op, const char *path) {
  char *real;
  int status;
  ed_permit_check(L, loop, cap);
  if (loop->permits == NULL) {
    lua_pushstring(L, path);
    return 1;
  }
  real = real_of(path);
  status = real == NULL ? uv_translate_sys_error(errno) : 0;
  /* A path that cannot be followed cannot be judged; and its errors tell what there is. */
  if (real == NULL && loop->permits->ask != NULL) return refuse(L, op, path);
  if (real == NULL) return ed_error_uv(L, status, op, path);
  if (!ed_permit_asks(loop, cap, real)) {
    free(real);
    return refuse(L, op, path);
  }
  lua_pushstring(L, real); /* short of memory 'real' is lost: a path's worth */
  free(real);
  return 1;
}

/* The host is asked for "unix:" and the plain path; a socket in the abstract space has none. */
int ed_permit_unix (lua_State *L, uint32_t cap, const char *op, const char *path) {
  const ed_loop *loop = ed_loop_of(L);
  ed_permit_check(L, loop, cap);
  if (loop->permits == NULL) return 0;
  char *real = real_of(path);
  int top = lua_gettop(L), n;
  lua_pushfstring(L, "unix:%s", real != NULL ? real : "");
  free(real);
  n = real == NULL ? refuse(L, op, path)
                   : ed_permit_refused(L, loop, cap, op, lua_tostring(L, top + 1));
  lua_remove(L, top + 1);
  return n;
}

/* ---- for the Lua half ---- */

static uint32_t check_cap (lua_State *L, int arg) {
  const char *name = luaL_checkstring(L, arg);
  for (const struct cap_row *row = cap_rows; row->name != NULL; row++)
    if (strcmp(row->name, name) == 0) return row->cap;
  return (uint32_t)luaL_argerror(L, arg, "no such capability");
}

/*
** core.permit(capability [, op, target]) --> true | nil, err
** Raises when it was not granted. With 'target' the host is asked.
*/
static int l_permit (lua_State *L) {
  const ed_loop *loop = ed_loop_of(L);
  uint32_t cap = check_cap(L, 1);
  ed_permit_check(L, loop, cap);
  if (!lua_isnoneornil(L, 3)
    && ed_permit_refused(L, loop, cap, luaL_checkstring(L, 2), luaL_checkstring(L, 3)))
    return 2;
  lua_pushboolean(L, 1);
  return 1;
}

/*
** core.permit_path("read" | "write", op, path) --> path | nil, err
** The path to use. Raises when the capability was not granted. Does not wait; blocks shortly.
*/
static int l_permit_path (lua_State *L) {
  size_t len;
  uint32_t cap = check_cap(L, 1);
  const char *op = luaL_checkstring(L, 2), *path = luaL_checklstring(L, 3, &len);
  luaL_argcheck(L, len > 0 && strlen(path) == len, 3, "not a path");
  return ed_permit_path(L, ed_loop_of(L), cap, op, path);
}

static const luaL_Reg functions[] = {
  {"permit", l_permit},
  {"permit_path", l_permit_path},
  {NULL, NULL},
};

void ed_open_permit (lua_State *L, int box) { ed_setfuncs(L, functions, box); }
