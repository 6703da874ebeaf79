/* SPDX-License-Identifier: MIT */
/*
** Files for reading, for the HTTP server: opened and read in libuv's thread pool, so that a slow
** disk stops nobody else. A path below a root is opened component by component without following
** links, so that neither "..", nor a link, nor a rename in between leads out of the root.
**
** A job's memory is the operation itself: the pool works on it and on nothing else, also when the
** waiter has left. Closing a file that was only read does not block and is done at once.
*/
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/class.h"
#include "core/error.h"
#include "core/permit.h"
#include "eddy.h"
#include "io/file.h"

typedef struct ed_file {
  int fd; /* -1: closed */
} ed_file;

/* One job: to open 'path' (below 'root'), or to read 'size' bytes at 'at'. */
typedef struct job {
  ed_op op; /* first */
  uv_work_t req;
  int fd;
  int error; /* errno */
  bool is_opening;
  struct stat stat;
  int64_t at;
  size_t size; /* wanted, then read */
  char *root;  /* malloc'd, as all of this: the pool may outlive the run */
  char *path;
  char *bytes;
} job;

enum { READ_MAX = 1 << 20 };

/* ---- In the pool ---- */

/* Open 'path' below the directory 'dir', which is closed; links are not followed. */
static int open_below (int dir, char *path) {
  int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  char *rest = NULL;
  for (char *name = strtok_r(path, "/", &rest); name != NULL && dir >= 0;) {
    char *next = strtok_r(NULL, "/", &rest);
    int fd = openat(dir, name, next != NULL ? flags | O_DIRECTORY : flags);
    int error = errno;
    close(dir);
    errno = error;
    dir = fd;
    name = next;
  }
  return dir;
}

static void work_open (job *j) {
  if (j->root == NULL) j->fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  else j->fd = open_below(open(j->root, O_RDONLY | O_CLOEXEC | O_DIRECTORY), j->path);
  if (j->fd < 0 || fstat(j->fd, &j->stat) < 0) j->error = errno;
}

static void work_read (job *j) {
  ssize_t n;
  do { n = pread(j->fd, j->bytes, j->size, j->at); } while (n < 0 && errno == EINTR);
  if (n < 0) j->error = errno;
  j->size = n < 0 ? 0 : (size_t)n;
}

static void work_job (uv_work_t *req) {
  job *j = req->data;
  if (j->is_opening) work_open(j);
  else work_read(j);
}

/* ---- Engine half ---- */

static void on_job (uv_work_t *req, int status) {
  job *j = req->data;
  j->op.loop->njobs--;
  if (status == 0 && j->error != 0) status = uv_translate_sys_error(j->error);
  ed_op_complete(&j->op, status);
}

static ed_verdict cancel_job (ed_op *op) {
  uv_cancel((uv_req_t *)&((job *)op)->req);
  return ED_DETACHED;
}

static void drop_job (ed_op *op) {
  job *j = (job *)op;
  if (j->fd >= 0) close(j->fd);
  free(j->root);
  free(j->path);
  free(j->bytes);
  free(j);
}

static int start_job (job *j) {
  int status;
  j->req.data = j;
  status = uv_queue_work(j->op.loop->uv, &j->req, work_job, on_job);
  if (status == 0) j->op.loop->njobs++;
  return status;
}

static void describe_job (const ed_op *op, char *text, size_t room) {
  const job *j = (const job *)op;
  snprintf(text, room, "%s", j->path != NULL ? j->path : "");
}

/* ---- Lua half ---- */

static void set_field (lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

static const char *kind_of (mode_t mode) {
  return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : "other";
}

static int finish_open (lua_State *L, ed_op *op) {
  job *j = (job *)op;
  ed_file *file = ed_class_push_raw(L, op->loop, ED_CLASS_FILE, sizeof *file, 0);
  file->fd = -1;
  lua_createtable(L, 0, 5);
  lua_pushstring(L, kind_of(j->stat.st_mode));
  lua_setfield(L, -2, "kind");
  set_field(L, "size", (lua_Integer)j->stat.st_size);
  set_field(L, "mtime", (lua_Integer)j->stat.st_mtime);
#ifdef __APPLE__
  set_field(L, "mtime_ns", (lua_Integer)j->stat.st_mtimespec.tv_nsec);
#else
  set_field(L, "mtime_ns", (lua_Integer)j->stat.st_mtim.tv_nsec);
#endif
  set_field(L, "ino", (lua_Integer)j->stat.st_ino);
  file->fd = j->fd; /* taken last: nothing can fail from here */
  j->fd = -1;
  op->loop->nfiles++;
  return 2;
}

static int finish_read (lua_State *L, ed_op *op) {
  job *j = (job *)op;
  lua_pushlstring(L, j->bytes, j->size);
  return 1;
}

static const ed_optype open_type = {
  .name = "open",
  .finish = finish_open,
  .cancel = cancel_job,
  .drop = drop_job,
  .describe = describe_job,
};

static const ed_optype read_type = {
  .name = "read",
  .finish = finish_read,
  .cancel = cancel_job,
  .drop = drop_job,
};

static job *free_job (job *j) {
  if (j == NULL) return NULL;
  free(j->root);
  free(j->path);
  free(j->bytes);
  free(j);
  return NULL;
}

static job *new_job (const char *root, const char *path, size_t size) {
  job *j = calloc(1, sizeof *j);
  if (j == NULL) return NULL;
  j->fd = -1;
  j->size = size;
  if (root != NULL && (j->root = strdup(root)) == NULL) return free_job(j);
  if (path != NULL && (j->path = strdup(path)) == NULL) return free_job(j);
  if (size > 0 && (j->bytes = malloc(size)) == NULL) return free_job(j);
  return j;
}

static int await_job (lua_State *L, ed_task *task, const ed_optype *type, job *j) {
  ed_op_adopt(task->loop, task, type, &j->op);
  return ed_await(L, &j->op, start_job(j));
}

/* A path without a zero byte, or an argument error. */
static const char *check_path (lua_State *L, int arg) {
  size_t len;
  const char *path = luaL_checklstring(L, arg, &len);
  luaL_argcheck(L, len > 0 && strlen(path) == len, arg, "not a path");
  return path;
}

static bool has_dots (const char *path) {
  for (const char *at = path; (at = strstr(at, "..")) != NULL; at++)
    if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0')) return true;
  return false;
}

/*
** In a sandbox: the path that the host has judged, which is then opened from "/" without
** following links, so that nothing can be put in its place. Or nil and an error.
*/
static int ask_for (
  lua_State *L, const ed_loop *loop, const char *root, const char *path) {
  if (root != NULL) path = lua_pushfstring(L, "%s/%s", root, path);
  return ed_permit_path(L, loop, EDDY_CAP_READ, "open", path);
}

/*
** file.open(path [, root]) --> File, {kind=, size=, mtime=, mtime_ns=, ino=} | nil, err
** For reading. With 'root', 'path' lies below it: no "..", no link on the way. Awaits.
** Cancelling lets it go on and closes what it opens.
*/
static int l_open (lua_State *L) {
  const char *path = check_path(L, 1);
  const char *root = lua_isnoneornil(L, 2) ? NULL : check_path(L, 2);
  ed_task *task;
  job *j;
  luaL_argcheck(L, root == NULL || !has_dots(path), 1, "leads out of its root");
  task = ed_checkpoint(L);
  if (task->loop->permits != NULL) {
    if (ask_for(L, task->loop, root, path) > 1) return 2;
    root = "/";
    path = lua_tostring(L, -1);
  }
  if ((j = new_job(root, path, 0)) == NULL) return luaL_error(L, "not enough memory");
  j->is_opening = true;
  return await_job(L, task, &open_type, j);
}

static ed_file *check_file (lua_State *L) {
  return ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_FILE);
}

/*
** file:read_at(offset, n) --> bytes | nil, err
** Up to 'n' bytes (1 MiB at most); "" at the end. Awaits. Cancelling drops what is read.
*/
static int l_read_at (lua_State *L) {
  ed_file *file = check_file(L);
  lua_Integer at = luaL_checkinteger(L, 2);
  lua_Integer n = luaL_checkinteger(L, 3);
  ed_task *task;
  job *j;
  int fd;
  luaL_argcheck(L, at >= 0, 2, "must not be negative");
  luaL_argcheck(L, n > 0, 3, "must be above 0");
  task = ed_checkpoint(L);
  if (file->fd < 0) return ed_error_uv(L, UV_ECANCELED, "read", NULL);
  if ((fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 3)) < 0) /* closing cannot pull it away */
    return ed_error_uv(L, uv_translate_sys_error(errno), "read", NULL);
  j = new_job(NULL, NULL, n > READ_MAX ? READ_MAX : (size_t)n);
  if (j == NULL) {
    close(fd);
    return luaL_error(L, "not enough memory");
  }
  j->fd = fd;
  j->at = at;
  return await_job(L, task, &read_type, j);
}

/* file:close(). Idempotent. */
static int l_close (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  ed_file *file = loop != NULL ? ed_class_check(L, loop, 1, ED_CLASS_FILE)
                               : lua_touserdata(L, 1);
  if (file == NULL || file->fd < 0) return 0;
  close(file->fd);
  file->fd = -1;
  if (loop != NULL) loop->nfiles--;
  return 0;
}

static const luaL_Reg methods[] = {
  {"read_at", l_read_at},
  {"close", l_close},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__close", l_close},
  {"__gc", l_close},
  {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"open", l_open},
  {NULL, NULL},
};

void ed_open_file (lua_State *L, int box) {
  box = lua_absindex(L, box);
  ed_class_new(L, ((ed_box *)lua_touserdata(L, box))->loop, ED_CLASS_FILE,
    "eddy.http.File", methods, meta, box);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
}
