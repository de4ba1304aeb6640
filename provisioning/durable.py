"""Files that survive a power cut: whole and on the disk, or not there at all."""

import glob
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

PUBLIC = 0o644
PRIVATE = 0o600
_PIECE_BYTES = 1 << 20


def write_durably(path: Path, data: bytes, *, mode: int = PUBLIC) -> None:
    """Put `data` at `path`, replacing what is there; a reader sees the old file or the new one, never a part."""
    temporary = _temporary(path, data, mode)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_durably(path: Path, data: bytes, *, mode: int) -> bool:
    """Put `data` at `path` unless a file is there; False says that one was, and is untouched."""
    temporary = _temporary(path, data, mode)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except FileNotFoundError:
        if path.exists():  # another made it, and cleared our copy away
            return False
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _clear(path)
    sync_folder(path.parent)
    return True


def settle(path: Path) -> None:
    """Whoever found `path` there may rely on it from here: its name is durable, and unfinished copies are gone.

    For files that `create_durably` makes: whoever made it may have been killed before either.
    """
    _clear(path)
    for folder in path.parents[:2]:
        sync_folder(folder)


def join_durably(path: Path, header: bytes, parts: Iterable[Path], *, mode: int = PUBLIC) -> str:
    """Put `header` and the contents of `parts` one after another at `path`; the SHA-256 of it all, in hex.

    However large, in little memory.
    """
    digest = hashlib.sha256()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with _named(path), open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor, made with its mode, is no path
            for data in _pieces(header, parts):
                digest.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return digest.hexdigest()


def make_folder(path: Path, *, mode: int = 0o755) -> None:
    """Make the folder `path` and those above it, each durable in its parent."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=mode, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: a rename or link is on the disk only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with _named(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Have an error say of which file it is; one of a descriptor does not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _clear(path: Path) -> None:
    """Take away what others began to put at `path` and cannot finish any more, now that a file is there."""
    for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        unfinished.unlink(missing_ok=True)


def _temporary(path: Path, data: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with _named(path), open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor, made with its mode, is no path
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _pieces(header: bytes, parts: Iterable[Path]) -> Iterator[bytes]:
    yield header
    for part in parts:
        with part.open("rb") as file:
            while data := file.read(_PIECE_BYTES):
                yield data
