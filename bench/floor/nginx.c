/* SPDX-License-Identifier: MIT */
/*
** nginx.c [tls]: nginx on a free port of the loopback, which it prints; one process, no log,
** the small reply from `return`. Everything of it lies in build/bench/nginx-files; with "tls" it has
** the certificate build/bench/tls.pem.
*/
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR "build/bench/nginx-files"

static const char head[] =
  "daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 4096;\n"
  "pid nginx.pid; error_log error.log;\n"
  "events { worker_connections 2048; }\n"
  "http {\n"
  "  access_log off; keepalive_requests 1000000000; default_type text/plain;\n"
  "  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n"
  "  uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n";

static const char tls[] = "    ssl_certificate ../tls.pem; ssl_certificate_key ../tls.key;\n";

/* Nobody else listens there just now. */
static int free_port (void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0) return -1;
  if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return -1;
  close(fd);
  return ntohs(address.sin_port);
}

static int write_config (const char *path, int port, int is_tls) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return -1;
  fprintf(file, "%s  server {\n    listen 127.0.0.1:%d%s backlog=1024;\n%s", head, port,
    is_tls ? " ssl" : "", is_tls ? tls : "");
  fprintf(file, "    location / { return 200 \"Hello, world\\n\"; }\n  }\n}\n");
  return fclose(file);
}

int main (int argc, char **argv) {
  int is_tls = argc > 1 && strcmp(argv[1], "tls") == 0;
  char here[4096], prefix[8192];
  int port = free_port();
  if (getcwd(here, sizeof here) == NULL) return 1;
  snprintf(prefix, sizeof prefix, "%s/" DIR "/", here);
  mkdir(DIR, 0755);
  if (port < 0 || write_config(DIR "/nginx.conf", port, is_tls) != 0) return 1;
  printf("%d\n", port);
  fflush(stdout);
  execlp("nginx", "nginx", "-p", prefix, "-c", "nginx.conf", "-e", "error.log", (char *)NULL);
  perror("nginx");
  return 127;
}
