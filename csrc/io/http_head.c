/* SPDX-License-Identifier: MIT */
/*
** The lines of an answer that are ours: status, reason, date; length and connection. The first
** ones are made once a second, and kept for the status that was answered last.
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

static void begin_anew (ed_http_server *server, int status) {
  const char *why = ed_http_reason(status);
  server->begun_size = (size_t)snprintf(server->begun, sizeof server->begun,
    "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, why != NULL ? why : "Status", server->date);
  server->begun_status = status;
}

size_t ed_http_head_begin (ed_http_server *server, char *text, int status) {
  time_t now = time(NULL);
  if (now != server->second) {
    renew_date(server, now);
    server->begun_status = 0;
  }
  if (status != server->begun_status) begin_anew(server, status);
  memcpy(text, server->begun, server->begun_size);
  return server->begun_size;
}

static size_t add (char *text, size_t size, const char *line) {
  size_t len = strlen(line);
  memcpy(text + size, line, len);
  return size + len;
}

size_t ed_http_head_length (char *text, uint64_t length) {
  char digits[24];
  size_t at = sizeof digits, size = add(text, 0, "Content-Length: ");
  do {
    digits[--at] = (char)('0' + length % 10);
    length /= 10;
  } while (length > 0);
  memcpy(text + size, digits + at, sizeof digits - at);
  return add(text, size + sizeof digits - at, "\r\n");
}

static bool decide_close (ed_http_conn *conn) {
  const ed_http_message *m = &conn->message;
  conn->closes |= m->phase != ED_HTTP_DONE || !m->keep_alive || conn->server->is_stopping;
  return conn->closes;
}

size_t ed_http_head_end (ed_http_conn *conn, char *text) {
  size_t size = 0;
  if (decide_close(conn)) size = add(text, 0, "Connection: close\r\n");
  else if (conn->message.minor == 0) size = add(text, 0, "Connection: keep-alive\r\n");
  return add(text, size, "\r\n");
}
