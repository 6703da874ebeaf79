# SPDX-License-Identifier: MIT
# For tools/interop.sh: Python's file server over its ssl.   python3 https_server.py PORT FOLDER CERT KEY
import functools
import http.server
import ssl
import sys

port, folder, cert, key = sys.argv[1:5]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
handler.protocol_version = "HTTP/1.1"
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
