/* SPDX-License-Identifier: MIT */
/*
** Which files Lua has open, for tests that must close what they open: descriptors of regular files that
** a child process would inherit. Those are what io.open makes; libraries in C, ours too, take
** O_CLOEXEC, and keep what they open for reasons of their own. Where a system does not list the
** descriptors of a process (/dev/fd) there are none.
*/
#include <dirent.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/probe.h"

static bool is_inherited_file (int fd) {
  struct stat about;
  int flags = fcntl(fd, F_GETFD);
  return flags >= 0 && !(flags & FD_CLOEXEC) && fstat(fd, &about) == 0
    && S_ISREG(about.st_mode);
}

/* Its path, or what else there is to call it by. */
static void push_path (lua_State *L, int fd) {
  char path[PATH_MAX];
#ifdef F_GETPATH
  if (fcntl(fd, F_GETPATH, path) == 0) {
    lua_pushstring(L, path);
    return;
  }
#else
  char link[32];
  ssize_t n;
  snprintf(link, sizeof link, "/dev/fd/%d", fd);
  if ((n = readlink(link, path, sizeof path)) > 0) {
    lua_pushlstring(L, path, (size_t)n);
    return;
  }
#endif
  lua_pushfstring(L, "with descriptor %d", fd);
}

/* The next descriptor that the directory lists, or -1. */
static int next_descriptor (DIR *directory) {
  const struct dirent *entry;
  while ((entry = readdir(directory)) != NULL)
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') return atoi(entry->d_name);
  return -1;
}

/* May run out of memory; then the caller has the directory to close. */
static int l_fill (lua_State *L) {
  DIR *directory = lua_touserdata(L, 1);
  int fd;
  lua_newtable(L);
  while ((fd = next_descriptor(directory)) >= 0)
    if (is_inherited_file(fd)) {
      push_path(L, fd);
      lua_rawseti(L, -2, fd);
    }
  return 1;
}

/*
** probe.files() --> {[descriptor] = path}
*/
static int l_files (lua_State *L) {
  DIR *directory = opendir("/dev/fd");
  int status;
  if (directory == NULL) {
    lua_newtable(L);
    return 1;
  }
  lua_pushcfunction(L, l_fill);
  lua_pushlightuserdata(L, directory);
  status = lua_pcall(L, 1, 1, 0);
  closedir(directory);
  return status == LUA_OK ? 1 : lua_error(L);
}

void ed_probe_open_files (lua_State *L) {
  lua_pushcfunction(L, l_files);
  lua_setfield(L, -2, "files");
}
