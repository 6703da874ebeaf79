/* SPDX-License-Identifier: MIT */
/*
** The first lines of an answer: status, reason, date. The date is made once a second.
*/
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/http_server.h"

typedef struct reason {
  int status;
  const char *text;
} reason;

static const reason reasons[] = {{100, "Continue"}, {101, "Switching Protocols"},
  {200, "OK"}, {201, "Created"}, {202, "Accepted"},
  {203, "Non-Authoritative Information"}, {204, "No Content"}, {205, "Reset Content"},
  {206, "Partial Content"}, {300, "Multiple Choices"}, {301, "Moved Permanently"},
  {302, "Found"}, {303, "See Other"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
  {308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
  {402, "Payment Required"}, {403, "Forbidden"}, {404, "Not Found"},
  {405, "Method Not Allowed"}, {406, "Not Acceptable"},
  {407, "Proxy Authentication Required"}, {408, "Request Timeout"}, {409, "Conflict"},
  {410, "Gone"}, {411, "Length Required"}, {412, "Precondition Failed"},
  {413, "Content Too Large"}, {414, "URI Too Long"}, {415, "Unsupported Media Type"},
  {416, "Range Not Satisfiable"}, {417, "Expectation Failed"}, {418, "I'm a teapot"},
  {421, "Misdirected Request"}, {422, "Unprocessable Content"}, {425, "Too Early"},
  {426, "Upgrade Required"}, {428, "Precondition Required"}, {429, "Too Many Requests"},
  {431, "Request Header Fields Too Large"}, {451, "Unavailable For Legal Reasons"},
  {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
  {503, "Service Unavailable"}, {504, "Gateway Timeout"},
  {505, "HTTP Version Not Supported"}};

const char *ed_http_reason (int status) {
  size_t low = 0, high = sizeof reasons / sizeof *reasons;
  if (status == 200) return "OK";
  while (low < high) {
    size_t at = (low + high) / 2;
    if (reasons[at].status == status) return reasons[at].text;
    if (reasons[at].status < status) low = at + 1;
    else high = at;
  }
  return NULL;
}

/* Not by strftime: its names follow the locale. */
static void renew_date (ed_http_server *server, time_t now) {
  static const char days[] = "SunMonTueWedThuFriSat";
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  struct tm t;
  gmtime_r(&now, &t);
  snprintf(server->date, sizeof server->date, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
    days + 3 * t.tm_wday, t.tm_mday % 100, months + 3 * t.tm_mon,
    (t.tm_year + 1900) % 10000, t.tm_hour % 100, t.tm_min % 100, t.tm_sec % 100);
  server->second = now;
}

size_t ed_http_head_begin (ed_http_server *server, char *text, int status) {
  const char *why = ed_http_reason(status);
  time_t now = time(NULL);
  if (now != server->second) renew_date(server, now);
  return (size_t)snprintf(text, ED_HTTP_HEAD_ROOM, "HTTP/1.1 %d %s\r\nDate: %s\r\n",
    status, why != NULL ? why : "Status", server->date);
}
