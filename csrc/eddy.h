/* SPDX-License-Identifier: MIT */
/*
** eddy: structured concurrency for Lua. The only header that is installed.
**
** Today a host opens the module, on a loop of its own if it likes, and lets a script call
** eddy.run; stepping the loop from a host's frame and awaitable C functions are not there yet.
*/
#ifndef EDDY_H
#define EDDY_H

#include <lua.h>

#define EDDY_VERSION "0.1.0"

#if defined(_WIN32)
#define EDDY_API __declspec(dllexport)
#else
#define EDDY_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The C half of the library, module "eddy.core". For package.preload or luaL_requiref. */
EDDY_API int luaopen_eddy_core (lua_State *L);

/*
** Let the runtime of L use the host's loop instead of one of its own. To be called on the thread
** of L, after "eddy.core" was opened and before the first eddy.run; the loop must outlive L.
** While eddy.run is on it turns that loop, so the host's own handles are served too; lua_close
** takes our handles out and leaves the loop otherwise alone.
** Returns 0, or a libuv error code: UV_EINVAL without a runtime in L, UV_EBUSY after a run.
*/
struct uv_loop_s;
EDDY_API int eddy_use_loop (lua_State *L, struct uv_loop_s *loop);

/*
** Put eddy and its modules into package.preload of L, from the sources inside the archive, so
** that require "eddy" needs no file. Runs nothing. Only in the static library.
*/
EDDY_API void eddy_preload (lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
