/* SPDX-License-Identifier: MIT */
/*
** Content codings for Lua: decoders and encoders as objects that are fed strings. They do no I/O
** and never wait; who has much to decode feeds it in slices. An object is closed by 'close', its
** `<close>` or the collector; a closed one raises when it is fed.
*/
#include "bind/coding_lua.h"

#include <lauxlib.h>

#include "core/class.h"
#include "core/error.h"
#include "proto/coding.h"

static const char decoder_name[] = "eddy.coding.decoder";
static const char encoder_name[] = "eddy.coding.encoder";

/* ---- Decoder ---- */

static int fail (lua_State *L, int code) {
  const char *text = ed_coding_error_text(code);
  if (code == ED_CODING_EMEMORY) return luaL_error(L, "%s", text);
  if (code == ED_CODING_EDATA)
    return ed_error_fail(L, "protocol", "EBADENCODING", "body", NULL, text);
  return ed_error_fail(
    L, "limit", code == ED_CODING_ERATIO ? "ERATIO" : "EBODY", "body", NULL, text);
}

/* Sizes as numbers, so that math.huge may say "unlimited". */
static uint64_t opt_limit (lua_State *L, int arg) {
  lua_Number n = luaL_optnumber(L, arg, -1);
  luaL_argcheck(L, n == n, arg, "not a number");
  return n < 0 || n >= 9e18 ? UINT64_MAX : (uint64_t)n;
}

/*
** coding.decoder(name [, max [, ratio]]) --> Decoder | nil
** nil where the name is not known or its library was not there when eddy was built. 'max': bytes of
** output; none or below 0 is unlimited. 'ratio': of output to input, default 100; math.huge is none.
** Does not wait.
*/
static int l_decoder (lua_State *L) {
  size_t len;
  const char *name = luaL_checklstring(L, 1, &len);
  uint64_t max_out = opt_limit(L, 2);
  lua_Number ratio = luaL_optnumber(L, 3, ED_CODING_RATIO);
  ed_coding coding = ed_coding_named(name, len);
  ed_decoder **box;
  luaL_argcheck(L, ratio >= 1, 3, "below 1");
  if (coding == ED_CODING_NONE) return 0;
  box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, decoder_name);
  *box = ed_decoder_new(coding, max_out);
  if (*box == NULL) return luaL_error(L, "not enough memory");
  ed_decoder_set_ratio(*box, ratio < 1e18 ? (uint64_t)ratio : 0);
  return 1;
}

static ed_decoder *check_decoder (lua_State *L) {
  ed_decoder **box = luaL_checkudata(L, 1, decoder_name);
  luaL_argcheck(L, *box != NULL, 1, "closed decoder");
  return *box;
}

/* The bytes from .. to of the string at 2, as string.sub counts from 1. */
static const char *check_slice (lua_State *L, size_t *len) {
  const char *in = luaL_checklstring(L, 2, len);
  lua_Integer from = luaL_optinteger(L, 3, 1);
  lua_Integer to = luaL_optinteger(L, 4, (lua_Integer)*len);
  luaL_argcheck(L, from >= 1, 3, "below 1");
  if (to > (lua_Integer)*len) to = (lua_Integer)*len;
  *len = to >= from ? (size_t)(to - from) + 1 : 0;
  return *len > 0 ? in + from - 1 : in;
}

/*
** decoder:feed(bytes [, from [, to]]) --> bytes | nil, err
** What these bytes decode to, possibly "". After an error each call answers it again.
** Does not wait.
*/
static int l_feed (lua_State *L) {
  ed_decoder *d = check_decoder(L);
  size_t len;
  const char *in = check_slice(L, &len);
  luaL_Buffer b;
  size_t used;
  size_t made;
  int code;
  luaL_buffinit(L, &b);
  do {
    char *out = luaL_prepbuffer(&b);
    code = ed_decoder_feed(d, in, len, &used, out, LUAL_BUFFERSIZE, &made);
    luaL_addsize(&b, made);
    in += used;
    len -= used;
  } while (code == ED_CODING_OK && made == LUAL_BUFFERSIZE);
  luaL_pushresult(&b);
  return code == ED_CODING_OK ? 1 : fail(L, code);
}

/* decoder:finish() --> true | nil, err: the input has ended; truncated is an error. */
static int l_finish (lua_State *L) {
  int code = ed_decoder_end(check_decoder(L));
  if (code != ED_CODING_OK) return fail(L, code);
  lua_pushboolean(L, 1);
  return 1;
}

/* decoder:close(), and its __close and __gc. */
static int l_decoder_close (lua_State *L) {
  ed_decoder **box = luaL_checkudata(L, 1, decoder_name);
  ed_decoder_free(*box);
  *box = NULL;
  return 0;
}

/* ---- Encoder ---- */

/*
** coding.gzip([level]) --> Encoder
** 'level' 1 (fast) to 9 (small); default 6. Does not wait.
*/
static int l_gzip (lua_State *L) {
  lua_Integer level = luaL_optinteger(L, 1, 0);
  ed_encoder **box;
  luaL_argcheck(L, level >= 0 && level <= 9, 1, "not a level");
  box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, encoder_name);
  *box = ed_encoder_new((int)level);
  return *box != NULL ? 1 : luaL_error(L, "not enough memory");
}

static int encode (lua_State *L, const char *in, size_t len, ed_flush flush) {
  ed_encoder **box = luaL_checkudata(L, 1, encoder_name);
  luaL_Buffer b;
  size_t used;
  size_t made;
  luaL_argcheck(L, *box != NULL, 1, "closed encoder");
  luaL_buffinit(L, &b);
  do {
    char *out = luaL_prepbuffer(&b);
    if (ed_encoder_feed(*box, in, len, &used, out, LUAL_BUFFERSIZE, &made, flush) != 0)
      return luaL_error(L, "fed after its end");
    luaL_addsize(&b, made);
    in += used;
    len -= used;
  } while (len > 0 || made == LUAL_BUFFERSIZE);
  luaL_pushresult(&b);
  return 1;
}

/* encoder:feed(bytes) --> bytes: encoded, possibly "". Does not wait. */
static int l_encode (lua_State *L) {
  size_t len;
  const char *in = luaL_checklstring(L, 2, &len);
  return encode(L, in, len, ED_FLUSH_NONE);
}

/* encoder:flush() --> bytes: with these the peer can decode all that was fed. */
static int l_flush (lua_State *L) { return encode(L, "", 0, ED_FLUSH_SYNC); }

/* encoder:finish() --> bytes: the last ones. */
static int l_encode_end (lua_State *L) { return encode(L, "", 0, ED_FLUSH_END); }

/* encoder:close(), and its __close and __gc. */
static int l_encoder_close (lua_State *L) {
  ed_encoder **box = luaL_checkudata(L, 1, encoder_name);
  ed_encoder_free(*box);
  *box = NULL;
  return 0;
}

/* ---- Table ---- */

static const luaL_Reg decoder_methods[] = {
  {"feed", l_feed},
  {"finish", l_finish},
  {"close", l_decoder_close},
  {NULL, NULL},
};

static const luaL_Reg encoder_methods[] = {
  {"feed", l_encode},
  {"flush", l_flush},
  {"finish", l_encode_end},
  {"close", l_encoder_close},
  {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"decoder", l_decoder},
  {"gzip", l_gzip},
  {NULL, NULL},
};

static void new_class (
  lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction close, int box) {
  const luaL_Reg meta[] = {{"__close", close}, {"__gc", close}, {NULL, NULL}};
  luaL_newmetatable(L, name);
  ed_setfuncs(L, meta, box);
  lua_newtable(L);
  ed_setfuncs(L, methods, box);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void ed_open_coding (lua_State *L, int box) {
  box = lua_absindex(L, box);
  new_class(L, decoder_name, decoder_methods, l_decoder_close, box);
  new_class(L, encoder_name, encoder_methods, l_encoder_close, box);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
  lua_pushstring(L, ed_coding_names); /* for Accept-Encoding */
  lua_setfield(L, -2, "names");
}
