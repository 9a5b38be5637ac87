"""`python -m serving`: the host process, on a unix socket or on a port of this machine alone."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

import uvicorn

from serving.connection import listen_at
from serving.host import make_app


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    options = read_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    data_folder = options.data_dir.resolve()
    secret_file = data_folder / "run" / "serving.secret"
    if options.port is not None:
        make_secret(secret_file)
    refuse_empty(secret_file)
    listener = listen_at(options.socket.resolve()) if options.socket else listen_on(options.port)
    app = make_app(
        data_folder,
        memory_bytes=options.memory,
        most_requests=options.requests,
        needs_secret=options.port is not None,
    )
    serve(app, listener)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="serving", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket", type=Path, help="unix socket to listen on")
    where.add_argument("--port", type=int, help="port of 127.0.0.1 to listen on, with a secret")
    parser.add_argument("--data-dir", type=Path, required=True, help="the studio's data folder")
    parser.add_argument(
        "--memory", type=int, default=half_of_memory(), help="bytes all engines together may use"
    )
    parser.add_argument(
        "--requests", type=int, default=64, help="requests one model answers or keeps waiting"
    )
    return parser.parse_args()


def half_of_memory() -> int:
    """Tuning needs the other half."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def listen_on(port: int) -> socket.socket:
    """A listening socket that other machines cannot reach."""
    return socket.create_server(("127.0.0.1", port), backlog=1024)


def make_secret(path: Path) -> None:
    """Others on this machine can reach a port, so whoever asks must know a secret.

    It appears whole or not at all; one that is there already counts.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(32), encoding="ascii")
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()


def refuse_empty(path: Path) -> None:
    """A secret that is nothing would be known to everybody."""
    if path.exists() and not path.read_bytes().strip():
        raise SystemExit(f"{path} is empty. Delete it; the next start on a port makes another.")


def serve(app: object, listener: socket.socket) -> None:
    """Run uvicorn; open answers get two seconds to end when it is told to stop."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
