"""Give the page to browsers of this machine, with the headers that threads need."""

import os
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from keras_frm.errors import ArgumentError
from keras_frm.web.site import HEADERS, START

HOST = "127.0.0.1"

# Not what the system knows: Windows may call scripts text/plain, which browsers refuse.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    "": "text/plain; charset=utf-8",  # LICENSE, _headers
}
_ANY_TYPE = "application/octet-stream"


class PageServer(ThreadingHTTPServer):
    """A server of files that are in memory, for browsers of this machine only.

    `serve_forever` answers until Ctrl-C.

    Args:
        files: Content by address, see `site_files`.
        port: Where it listens; 0 for any that is free.

    Attributes:
        address: What a browser opens.

    Raises:
        ArgumentError: The port is taken or not allowed.

    Example:
    >>> with PageServer({"index.html": b"<p>"}, 0) as server:
    ...     server.address.startswith("http://127.0.0.1:")
    True
    """

    daemon_threads = True
    # A port that was left is free at once; but Windows would give it to two servers.
    allow_reuse_address = os.name != "nt"

    def __init__(self, files: Mapping[str, bytes], port: int):
        self.files = files
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise ArgumentError(
                f"Cannot serve at port {port} ({error.strerror})",
                "port",
                "pass another port",
            ) from error
        self.address = f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that goes away in the middle of a file."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD with the files of its server."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = self._send_head()
        if content is not None:
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self._send_head()

    def _send_head(self) -> bytes | None:
        name = unquote(urlsplit(self.path).path).removeprefix("/") or START
        content = self.server.files.get(name)
        if not self._is_for_us() or content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.send_response(HTTPStatus.OK)
        kind = _TYPES.get(PurePosixPath(name).suffix, _ANY_TYPE)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def _is_for_us(self) -> bool:
        """Tell whether the request names this machine.

        A page of elsewhere, whose name was made to point here, names its own.
        """
        host = self.headers.get("Host", "").partition(":")[0]
        return host in (HOST, "localhost")

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""
