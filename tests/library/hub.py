"""A small Hugging Face hub on this machine, with one model in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "someone/model"
REVISION = "a" * 40
FILES = {"config.json": b"{}", "model.safetensors": b"0" * 4096, "weights.bin": b"pickled"}


class Hub(BaseHTTPRequestHandler):
    """Answers what the hub's own client asks: the model, its tree of files, and each file."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(f"/api/models/{MODEL}/tree/"):
            self.answer_json([{"type": "file", "path": name, **sizes(name)} for name in FILES])
        elif path.startswith(f"/api/models/{MODEL}"):
            siblings = [{"rfilename": name, **sizes(name)} for name in FILES]
            self.answer_json({"id": MODEL, "sha": REVISION, "siblings": siblings})
        elif path.startswith(f"/{MODEL}/resolve/"):
            self.answer(FILES[path.rpartition("/")[2]])
        else:
            self.answer_missing()

    do_HEAD = do_GET

    def answer_json(self, content: object) -> None:
        self.answer(json.dumps(content).encode(), "application/json")

    def answer(self, content: bytes, media_type: str = "application/octet-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{len(content)}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def answer_missing(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def sizes(name: str) -> dict[str, object]:
    return {"size": len(FILES[name]), "oid": "0", "blobId": "0"}


@contextmanager
def running_hub() -> Iterator[str]:
    """The address of a hub that is up."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
