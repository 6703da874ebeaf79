/* SPDX-License-Identifier: MIT */
/*
** Traps: a trapped signal cancels the root task once; after that the default actions are back,
** so that the next one kills. "One shot" makes the kernel restore the action of the same signal
** by itself, for a script that never lets the loop run. The handles are unreferenced (a program
** does not stay alive to be interrupted) and end with the run.
*/
#include "io/signal.h"

#include <signal.h>
#include <string.h>

#include "core/handle.h"
#include "core/class.h"
#include "core/permit.h"
#include "eddy.h"

static void drop_trap (ed_handle *handle) {
  ed_mem_free(&handle->loop->mem, handle, sizeof *handle);
}

static void stop_traps (ed_loop *loop) {
  for (ed_link *at = loop->handles.next; at != &loop->handles; at = at->next) {
    ed_handle *handle = ED_OF(at, ed_handle, link);
    if (handle->uv.any.type == UV_SIGNAL && !handle->is_closing)
      uv_signal_stop(&handle->uv.signal);
  }
}

static void on_signal (uv_signal_t *uv, int number) {
  ed_loop *loop = ((ed_handle *)uv->data)->loop;
  loop->trapped = number;
  loop->progress++;
  if (loop->root != NULL) ed_task_cancel(loop->root, ED_BY_SIGNAL);
  stop_traps(loop);
}

static int start_trap (ed_loop *loop, int number) {
  ed_handle *handle = ed_loop_calloc(loop, sizeof *handle);
  int status;
  if (handle == NULL) return UV_ENOMEM;
  ed_handle_init(handle, loop, NULL, drop_trap);
  if ((status = uv_signal_init(loop->uv, &handle->uv.signal)) < 0) {
    drop_trap(handle);
    return status;
  }
  ed_handle_opened(handle);
  uv_unref(&handle->uv.any);
  handle->has_box = false;
  handle->is_spare = true;
  status = uv_signal_start_oneshot(&handle->uv.signal, on_signal, number);
  if (status < 0) ed_handle_close(handle);
  return status;
}

static int check_signal (lua_State *L, int arg) {
  const char *name = luaL_checkstring(L, arg);
  if (strcmp(name, "INT") == 0) return SIGINT;
  if (strcmp(name, "TERM") == 0) return SIGTERM;
  if (strcmp(name, "HUP") == 0) return SIGHUP;
  return luaL_argerror(L, arg, "one of \"INT\", \"TERM\", \"HUP\" expected");
}

/*
** signal.trap(name, ...)
** For the rest of this run the first such signal cancels the root task.
*/
static int l_trap (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_loop_uv(L);
  ed_permit_check(L, loop, EDDY_CAP_SIGNAL);
  loop->trapped = 0;
  for (int arg = 1; arg <= lua_gettop(L); arg++) {
    int number = check_signal(L, arg);
    if (ed_permit_refused(L, loop, EDDY_CAP_SIGNAL, "trap", lua_tostring(L, arg)))
      return lua_error(L);
    int status = start_trap(loop, number);
    if (status < 0) return luaL_error(L, "cannot trap a signal: %s", uv_strerror(status));
  }
  return 0;
}

/*
** signal.trapped() --> number | nil
** The signal that cancelled the latest run, if one did.
*/
static int l_trapped (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  if (loop->trapped == 0) return 0;
  lua_pushinteger(L, loop->trapped);
  return 1;
}

static const luaL_Reg functions[] = {
  {"trap", l_trap},
  {"trapped", l_trapped},
  {NULL, NULL},
};

void ed_open_signal (lua_State *L, int box) {
  box = lua_absindex(L, box);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
}
