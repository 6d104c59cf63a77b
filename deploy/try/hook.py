"""Prints what is posted to a port of loopback: what a webhook of Rookery's watchers says.

usage: hook.py PORT
"""

import http.server
import json
import sys


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers that it has got it."""

    def do_POST(self):
        posted = json.loads(self.rfile.read(int(self.headers["content-length"])))
        print(posted["text"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """What is posted says enough."""


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Hook).serve_forever()
