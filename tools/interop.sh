#!/bin/sh
# SPDX-License-Identifier: MIT
# Against the programs of others.   sh tools/interop.sh PROGRAM
# Our client against nginx and Python's server; our server under curl, wrk, h2load and a browser. Each is
# started on a free loopback port with a configuration of ours in a folder of its own, and stopped by its id.
# A tool that is missing is installed where a package manager and the rights are there; else its part is
# skipped, with a line that says so. The last line is `N passed, N failed[, N skipped]`.
set -u
program=${1:?usage: interop.sh PROGRAM}
here=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
chmod 755 "$dir" # nginx gives up its rights and must still read it
passed=0 failed=0 skipped=0 pids=

stop() {
  for pid in $pids; do kill "$pid" 2>/dev/null; done
  for pid in $pids; do wait "$pid" 2>/dev/null; done
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

# need COMMAND PACKAGE...: is it there, or can it be installed? It is tried once.
need() {
  command=$1
  shift
  command -v "$command" >/dev/null && return 0
  if [ -z "${EDDY_NO_INSTALL:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    for package in "$@"; do
      timeout 240 apt-get install -y --no-install-recommends "$package" >"$dir/install" 2>&1
      command -v "$command" >/dev/null && return 0
    done
  fi
  skipped=$((skipped + 1))
  echo "  skipped  $command is not here and could not be installed"
  return 1
}

# check NAME COMMAND...: one test; what it printed is shown when it fails.
check() {
  name=$1
  shift
  if "$@" >"$dir/out" 2>&1; then
    passed=$((passed + 1))
    echo "  interop  $name"
  else
    failed=$((failed + 1))
    echo "  interop  $name: FAILED"
    sed 's/^/    /' "$dir/out" | tail -n 20
  fi
}

# The first line that a file gets, waiting for up to ten seconds.
first_line() {
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do
    [ -s "$1" ] && { head -n 1 "$1"; return; }
    sleep 0.25
  done
  echo 0
}

same() { [ "$1" = "$2" ] || { echo "expected: $2"; echo "got: $1"; return 1; }; }

# ---- Certificates ------------------------------------------------------------------------------

# An authority and a certificate for this machine.
make_certificates() {
  need openssl openssl || return
  mkdir -p "$dir/certs"
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=eddy interop root" \
      -addext basicConstraints=critical,CA:TRUE -keyout "$dir/certs/ca.key" -out "$dir/certs/ca.pem"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
      -keyout "$dir/certs/leaf.key" -out "$dir/certs/leaf.csr"
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >"$dir/certs/leaf.ext"
    openssl x509 -req -days 2 -CA "$dir/certs/ca.pem" -CAkey "$dir/certs/ca.key" -set_serial 1 -extfile "$dir/certs/leaf.ext" \
      -in "$dir/certs/leaf.csr" -out "$dir/certs/leaf.pem"
  } >"$dir/openssl" 2>&1 || { cat "$dir/openssl"; return 1; }
  chmod 644 "$dir/certs/"*
}

# ---- Our client --------------------------------------------------------------------------------

free_port() { "$program" "$here/spec/interop/free_port.lua"; }
client() { "$program" "$here/spec/interop/client.lua" "$@"; }

start_nginx() {
  nginx_port=$(free_port) nginx_tls=$(free_port) front_port=$(free_port)
  mkdir -p "$dir/nginx/www"
  i=0
  while [ $i -lt 2000 ]; do echo "line $i of a text that nginx compresses"; i=$((i + 1)); done >"$dir/nginx/www/text.txt"
  sed -e "s|@DIR@|$dir/nginx|g" -e "s|@CERTS@|$dir/certs|g" -e "s|@PORT@|$nginx_port|" -e "s|@TLSPORT@|$nginx_tls|" \
    -e "s|@FRONTPORT@|$front_port|" -e "s|@OURPORT@|$port|" "$here/spec/interop/nginx.conf" >"$dir/nginx/nginx.conf"
  nginx -p "$dir/nginx" -c "$dir/nginx/nginx.conf" -e "$dir/nginx/error.log" &
  pids="$pids $!"
}

client_against_nginx() {
  need nginx nginx-light nginx || return
  start_nginx
  text=$dir/nginx/www/text.txt ca=$dir/certs/ca.pem
  check "client against nginx: keep-alive, gzip, ranges" client nginx "http://127.0.0.1:$nginx_port/" "$text"
  check "client against nginx over TLS" client nginx "https://localhost:$nginx_tls/" "$text" "$ca"
  check "our server behind nginx" client proxy "http://127.0.0.1:$front_port/files/" "$dir/www/numbers.txt"
}

client_against_python() {
  need python3 python3-minimal || return
  port_plain=$(free_port) port_tls=$(free_port)
  mkdir -p "$dir/python"
  echo "served by python" >"$dir/python/a.txt"
  python3 -m http.server --bind 127.0.0.1 --directory "$dir/python" "$port_plain" >/dev/null 2>&1 &
  pids="$pids $!"
  python3 "$here/spec/interop/https_server.py" "$port_tls" "$dir/python" "$dir/certs/leaf.pem" "$dir/certs/leaf.key" >/dev/null 2>&1 &
  pids="$pids $!"
  check "client against Python's http.server" client python "http://127.0.0.1:$port_plain/" "$dir/python/a.txt"
  check "client against Python's http.server over its ssl" client python "https://localhost:$port_tls/" "$dir/python/a.txt" "$dir/certs/ca.pem"
}

start_tinyproxy() {
  proxy_port=$(free_port)
  printf 'Port %s\nListen 127.0.0.1\nTimeout 30\nMaxClients 50\nBasicAuth pete secret\nLogLevel Error\nLogFile "%s"\nPidFile "%s"\n' \
    "$proxy_port" "$dir/tinyproxy.log" "$dir/tinyproxy.pid" >"$dir/tinyproxy.conf"
  tinyproxy -d -c "$dir/tinyproxy.conf" >/dev/null 2>&1 &
  pids="$pids $!"
}

client_through_proxy() {
  need tinyproxy tinyproxy-bin tinyproxy || return
  start_tinyproxy
  proxy=http://pete:secret@127.0.0.1:$proxy_port
  check "client through tinyproxy" client proxy "$url/files/" "$dir/www/numbers.txt" "" "$proxy"
  check "client through a tunnel of tinyproxy" client proxy "https://localhost:$tls_port/files/" "$dir/www/numbers.txt" "$dir/certs/ca.pem" "$proxy"
}

# ---- Our server --------------------------------------------------------------------------------

start_server() {
  mkdir -p "$dir/www"
  seq 1 20000 >"$dir/www/numbers.txt"
  "$program" "$here/spec/interop/server.lua" "$dir/www" "$dir/certs/leaf.pem" "$dir/certs/leaf.key" >"$dir/server" 2>"$dir/server.err" &
  server=$!
  pids="$pids $server"
  port=$(first_line "$dir/server")
  url=http://127.0.0.1:$port
  tls_port=$(sed -n 2p "$dir/server")
  secure=https://localhost:$tls_port
}

curl_get() { same "$(curl -sS --max-time 10 "$url/hello?x=1")" "hello /hello"; }
curl_post() { same "$(curl -sS --max-time 20 --data-binary "@$dir/www/numbers.txt" "$url/echo" | cksum)" "$(cksum <"$dir/www/numbers.txt")"; }
curl_chunked() {
  same "$(curl -sS --max-time 20 -H 'Transfer-Encoding: chunked' --data-binary "@$dir/www/numbers.txt" "$url/echo" | cksum)" "$(cksum <"$dir/www/numbers.txt")"
}
curl_expect() { same "$(curl -sS --max-time 20 --expect100-timeout 10 -H 'Expect: 100-continue' -d abc "$url/echo")" abc; }
curl_head() { curl -sSI --max-time 10 "$url/files/numbers.txt" | grep -qi '^content-length: 108894'; }
curl_range() { same "$(curl -sS --max-time 10 -r 2-5 "$url/files/numbers.txt" | od -An -c | tr -d ' ')" '2\n3\n'; }
curl_resume() {
  head -c 1000 "$dir/www/numbers.txt" >"$dir/part"
  curl -sS --max-time 10 -C - -o "$dir/part" "$url/files/numbers.txt" && cmp "$dir/part" "$dir/www/numbers.txt"
}
curl_etag() {
  curl -sS --max-time 10 --etag-save "$dir/etag" -o /dev/null "$url/files/numbers.txt" &&
    same "$(curl -sS --max-time 10 --etag-compare "$dir/etag" -o /dev/null -w '%{http_code}' "$url/files/numbers.txt")" 304
}
curl_keep() { same "$(curl -sS --max-time 10 -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects}' "$url/1" "$url/2" "$url/3")" 100; }
curl_traversal() { same "$(curl -sS --max-time 10 --path-as-is -o /dev/null -w '%{http_code}' "$url/files/../server")" 404; }
curl_stream() { same "$(curl -sSN --max-time 10 "$url/stream" | tail -n 1)" "piece 10"; }
curl_old() { same "$(curl -sS --http1.0 --max-time 10 "$url/stream" | tail -n 1)" "piece 10"; }

curl_gzip() {
  same "$(curl -sS --max-time 10 --compressed "$url/files/numbers.txt" | cksum)" "$(cksum <"$dir/www/numbers.txt")" || return 1
  curl -sS --max-time 10 -H 'Accept-Encoding: gzip' "$url/files/numbers.txt" >"$dir/coded" || return 1
  [ "$(wc -c <"$dir/coded")" -lt 60000 ] && same "$(gzip -dc "$dir/coded" | cksum)" "$(cksum <"$dir/www/numbers.txt")"
}
curl_gzip_stream() { same "$(curl -sS --max-time 10 --compressed "$url/stream" | tail -n 1)" "piece 10"; }
curl_range_with_gzip() { same "$(curl -sS --max-time 10 --compressed -r 2-5 "$url/files/numbers.txt" | od -An -c | tr -d ' ')" '2\n3\n'; }
ca_curl() { curl -sS --max-time 20 --cacert "$dir/certs/ca.pem" "$@"; }
curl_tls() { same "$(ca_curl "$secure/hello")" "hello /hello"; }
curl_tls_1_2() { same "$(ca_curl --tlsv1.2 --tls-max 1.2 "$secure/hello")" "hello /hello"; }
curl_tls_1_1() { ! ca_curl --tlsv1.0 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 "$secure/hello"; }
curl_tls_stranger() { ! curl -sS --max-time 10 "$secure/hello"; }
curl_tls_post() { same "$(ca_curl --data-binary "@$dir/www/numbers.txt" "$secure/echo" | cksum)" "$(cksum <"$dir/www/numbers.txt")"; }
curl_tls_gzip() { same "$(ca_curl --compressed "$secure/files/numbers.txt" | cksum)" "$(cksum <"$dir/www/numbers.txt")"; }
curl_tls_keep() { same "$(ca_curl -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects}' "$secure/1" "$secure/2" "$secure/3")" 100; }

under_curl() {
  need curl curl || return
  for name in get post chunked expect head range resume etag keep traversal stream old gzip gzip_stream range_with_gzip \
    tls tls_1_2 tls_1_1 tls_stranger tls_post tls_gzip tls_keep; do
    check "server under curl: $name" "curl_$name"
  done
}

wrk_clean() {
  wrk -t1 -c50 -d2s "$url/wrk" >"$dir/wrk" || return 1
  cat "$dir/wrk"
  grep -q 'Requests/sec' "$dir/wrk" && ! grep -qE 'Non-2xx|Socket errors' "$dir/wrk"
}
under_wrk() {
  need wrk wrk || return
  check "server under wrk" wrk_clean
}

h2load_clean() {
  h2load --h1 -n 5000 -c 20 "$url/h2load" >"$dir/h2load" 2>&1 || return 1
  cat "$dir/h2load"
  grep -q '5000 succeeded, 0 failed, 0 errored' "$dir/h2load"
}
under_h2load() {
  need h2load nghttp2-client || return
  check "server under h2load --h1" h2load_clean
}

browser_reads() {
  timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$dir/browser" \
    --virtual-time-budget=8000 --dump-dom "$url/page" >"$dir/dom" 2>"$dir/dom.err"
  grep -q 'fetched hello /fetched, event tick' "$dir/dom" || { cat "$dir/dom"; tail -n 5 "$dir/dom.err"; return 1; }
}
under_browser() {
  browser=
  for name in chromium chromium-browser google-chrome; do command -v $name >/dev/null && browser=$name && break; done
  if [ -z "$browser" ]; then
    need chromium chromium || return
    browser=chromium
  fi
  check "server under $browser: page, fetch, events" browser_reads
}

ends_by_itself() {
  curl -sS --max-time 10 "$url/stop" >/dev/null
  wait "$server"
  code=$?
  cat "$dir/server.err"
  [ "$code" = 0 ] && [ ! -s "$dir/server.err" ]
}

make_certificates
start_server
client_against_nginx
client_against_python
client_through_proxy
under_curl
under_wrk
under_h2load
under_browser
if command -v curl >/dev/null; then check "server stops, and has nothing to complain of" ends_by_itself; fi
if [ $skipped -gt 0 ]; then echo "$passed passed, $failed failed, $skipped skipped"; else echo "$passed passed, $failed failed"; fi
[ $failed = 0 ]
