/* SPDX-License-Identifier: MIT */
/*
** queue.c CAPACITY: one task puts numbers into a bounded ring, another gets them. A task
** is parked only when the ring is full or empty. The unit is one message.
*/
#include "floor.h"

typedef struct queue {
  lua_Integer capacity, head, count;
  task *getter, *putter; /* who waits, if anyone */
} queue;

static task_list ready;

/* The ring is the queue's user value; the type is known by its metatable, an upvalue. */
static queue *to_queue (lua_State *L) {
  queue *q = lua_touserdata(L, 1);
  if (!lua_getmetatable(L, 1) || !lua_rawequal(L, -1, lua_upvalueindex(1)))
    luaL_typeerror(L, 1, "queue");
  lua_pop(L, 1);
  return q;
}

static void wake (task **waiting) {
  if (*waiting == NULL) return;
  append(&ready, *waiting);
  *waiting = NULL;
}

static int finish_put (lua_State *L, int status, lua_KContext context) {
  queue *q = (queue *)context;
  (void)status;
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, 1 + (q->head + q->count++) % q->capacity);
  wake(&q->getter);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_put (lua_State *L) {
  queue *q = to_queue(L);
  luaL_checkany(L, 2);
  if (q->count < q->capacity) return finish_put(L, LUA_OK, (lua_KContext)q);
  q->putter = task_of(L);
  return lua_yieldk(L, 0, (lua_KContext)q, finish_put);
}

static int finish_get (lua_State *L, int status, lua_KContext context) {
  queue *q = (queue *)context;
  (void)status;
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, 1 + q->head);
  if (++q->head == q->capacity) q->head = 0;
  q->count--;
  wake(&q->putter);
  return 1;
}

static int l_get (lua_State *L) {
  queue *q = to_queue(L);
  if (q->count > 0) return finish_get(L, LUA_OK, (lua_KContext)q);
  q->getter = task_of(L);
  return lua_yieldk(L, 0, (lua_KContext)q, finish_get);
}

static void push_method (lua_State *L, const char *name, lua_CFunction f) {
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, name);
}

static void push_queue (lua_State *L, int capacity) {
  queue *q = lua_newuserdatauv(L, sizeof *q, 1);
  *q = (queue){.capacity = capacity};
  lua_createtable(L, capacity, 0);
  lua_setiuservalue(L, -2, 1);
  lua_newtable(L);
  lua_newtable(L);
  push_method(L, "put", l_put);
  push_method(L, "get", l_get);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

static void start (lua_State *L, const char *function, task *t, long n) {
  lua_getglobal(L, function);
  lua_pushinteger(L, n);
  lua_xmove(L, t->co, 2);
  append(&ready, t);
}

static double send_many (lua_State *L, long n) {
  double began;
  task *t;
  start(L, "produce", new_task(L), n);
  start(L, "consume", new_task(L), n);
  began = cpu_seconds();
  while ((t = take_first(&ready)) != NULL) {
    int results, arguments = lua_status(t->co) == LUA_YIELD ? 0 : 1;
    check(t->co, lua_resume(t->co, L, arguments, &results));
  }
  return cpu_seconds() - began;
}

int main (int argc, char **argv) {
  lua_State *L = new_state();
  push_queue(L, argc > 1 ? atoi(argv[1]) : 1000);
  lua_setglobal(L, "queue");
  push_chunk(L,
    "local queue = queue\n"
    "function produce (n) for i = 1, n do queue:put(i) end end\n"
    "function consume (n) for _ = 1, n do queue:get() end end");
  printf("%.1f\n", ns_per_unit(L, send_many));
  return 0;
}
