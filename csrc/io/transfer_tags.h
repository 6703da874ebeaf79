/* SPDX-License-Identifier: MIT */
/*
** The bytes between transfer_pack.c and transfer_unpack.c.
**
**   number of objects, size of 'make' (8 bytes each), make, fill
**   make: for each object, in order of their numbers: how to make it, empty
**   fill: the root values; then for each table and function what goes into it
**
** An object is what can be met twice: table, function, long string, thing with a name. A value
** is a tag and what follows it; an object in it is its number. Since 'fill' comes after all of
** 'make', a value may refer to any object. Counts are seven bits a byte, the lowest first.
*/
#ifndef ED_TRANSFER_TAGS_H
#define ED_TRANSFER_TAGS_H

enum {
  HEADER = 16,      /* bytes */
  SHORT_STRING = 40 /* longer strings are objects: sent once */
};

typedef enum tag {
  /* values */
  TAG_NIL,
  TAG_FALSE,
  TAG_TRUE,
  TAG_INTEGER, /* count: zigzag */
  TAG_FLOAT,   /* lua_Number as it lies in memory */
  TAG_STRING,  /* count, bytes */
  TAG_NULL,    /* light userdata */
  TAG_GLOBALS,
  TAG_OBJECT, /* count: number */
  TAG_KEYS, /* in a table: from here on keys and values, before there were values 1, 2 ... */
  TAG_END,    /* of a table; its metatable or nil follows */
  TAG_SHARED, /* an upvalue: counts: function object, upvalue of that */
  /* objects */
  TAG_LONG,      /* count, bytes */
  TAG_TABLE,     /* 4 bytes each: values 1, 2 ...; others */
  TAG_FUNCTION,  /* 8 bytes size, what lua_dump made */
  TAG_CODE,      /* the same; it has no upvalue but the globals */
  TAG_MODULE,    /* name */
  TAG_MEMBER,    /* name of a module, name in it */
  TAG_METATABLE, /* name */
} tag;

#endif
