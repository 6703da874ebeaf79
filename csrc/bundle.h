/* SPDX-License-Identifier: MIT */
/*
** The Lua sources of eddy as bytes in the program, so that it needs no file beside itself.
** Only the program and the archive hold them; the module finds its Lua files on package.path.
** Source text, not bytecode: that would be tied to one exact build of Lua.
*/
#ifndef ED_BUNDLE_H
#define ED_BUNDLE_H

#include <stddef.h>

typedef struct ed_bundle_entry {
  const char *name;  /* what 'require' is given: "eddy.net" */
  const char *chunk; /* chunk name for messages: "=eddy/net.lua", unlike a file's */
  const unsigned char *bytes; /* not terminated */
  size_t size;
} ed_bundle_entry;

/* Sorted by name; ends with an entry whose name is NULL. */
extern const ed_bundle_entry ed_bundle[];

#endif
