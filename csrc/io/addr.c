/* SPDX-License-Identifier: MIT */
/*
** Socket addresses of the two families.
*/
#include "io/addr.h"

#include <stdio.h>
#include <string.h>

int ed_addr_port (const struct sockaddr_storage *addr) {
  if (addr->ss_family == AF_INET6)
    return ntohs(((const struct sockaddr_in6 *)addr)->sin6_port);
  return ntohs(((const struct sockaddr_in *)addr)->sin_port);
}

void ed_addr_set_port (struct sockaddr_storage *addr, int port) {
  if (addr->ss_family == AF_INET6)
    ((struct sockaddr_in6 *)addr)->sin6_port = htons((uint16_t)port);
  else ((struct sockaddr_in *)addr)->sin_port = htons((uint16_t)port);
}

static void write_host (const struct sockaddr_storage *addr, char *host, size_t room) {
  *host = '\0';
  if (addr->ss_family == AF_INET6)
    uv_ip6_name((const struct sockaddr_in6 *)addr, host, room);
  else uv_ip4_name((const struct sockaddr_in *)addr, host, room);
}

void ed_addr_text (const struct sockaddr_storage *addr, char text[ED_ADDR_TEXT]) {
  char host[INET6_ADDRSTRLEN];
  write_host(addr, host, sizeof host);
  snprintf(text, ED_ADDR_TEXT, addr->ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d", host,
    ed_addr_port(addr));
}

int ed_addr_push (lua_State *L, const struct sockaddr_storage *addr) {
  char host[INET6_ADDRSTRLEN];
  write_host(addr, host, sizeof host);
  lua_pushstring(L, host);
  lua_pushinteger(L, ed_addr_port(addr));
  return 2;
}

bool ed_addr_parse (const char *host, int port, struct sockaddr_storage *addr) {
  memset(addr, 0, sizeof *addr);
  if (uv_ip4_addr(host, port, (struct sockaddr_in *)addr) == 0) return true;
  memset(addr, 0, sizeof *addr);
  return uv_ip6_addr(host, port, (struct sockaddr_in6 *)addr) == 0;
}
