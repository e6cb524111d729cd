"""Where a command writes: standard output, or whatever stands under the name that it is told.

A device, a pipe and a descriptor are written to, as a shell's `>` does. A file appears under its name, or takes the
place of another, when all of it is there, and not before; it keeps its permissions, its owner and its other names.
"""

import errno
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from uuid import uuid4

from gateway.errors import OperatorError

DESCRIPTOR = re.compile(rf"(?:/dev/fd|/proc/{os.getpid()}(?:/task/\d+)?/fd)/(\d+)")
NO_FILE_BESIDE = {errno.EACCES, errno.EPERM, errno.EROFS}
NOT_BY_RENAMING = {errno.EBUSY, errno.EXDEV}  # a file that is a mount of its own, as containers have them
PIECE = 1 << 20


@contextmanager
def opened(path: Path | None) -> Iterator[IO[bytes]]:
    """What to write to: standard output for None and for `-`. `OperatorError`, in one line, where it cannot be written.

    A reader that leaves is a `BrokenPipeError`.
    """
    if path is None or str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        target = _followed(path)
        if isinstance(target, int):
            with os.fdopen(os.dup(target), "wb") as file:
                yield file
        elif _is_replaceable(target):
            with _replacing(target) as file:
                yield file
        else:
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_NOCTTY), "wb") as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as failure:
        raise OperatorError(f"{path}: it cannot be written: {failure.strerror or failure}") from failure


def _followed(path: Path) -> Path | int:
    """What symbolic links lead to, which need not be there; of a name for an open descriptor, the descriptor."""
    for _ in range(40):  # as many as the kernel follows
        folder = Path(os.path.realpath(path.parent))
        if found := DESCRIPTOR.fullmatch(str(folder / path.name)):
            return int(found[1])
        path = folder / path.name
        if not path.is_symlink():
            return path
        path = folder / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_replaceable(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return stat.S_ISREG(mode)


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file that becomes the target when it is whole; an existing one must be one that may be written."""
    existing = target.stat() if target.exists() else None
    if existing is not None:
        os.close(os.open(target, os.O_WRONLY))  # as `>` would
    beside = target.parent / f".gateway-{uuid4().hex[:12]}"
    try:
        # With the permissions of any new file, by the umask and the folder.
        file = os.fdopen(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), "w+b")
    except OSError as failure:
        if existing is None or failure.errno not in NO_FILE_BESIDE:
            raise
        with TemporaryFile() as elsewhere:
            yield elsewhere
            _copy(elsewhere, target)
        return
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or the name might outlive a crash, and the content not
            if existing is None:
                beside.rename(target)
            elif existing.st_nlink > 1 or not _takes_after(beside, target, existing) or not _renamed(beside, target):
                _copy(file, target)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def _takes_after(beside: Path, target: Path, existing: os.stat_result) -> bool:
    """Give the new file the owner, the permissions and the access list of the old one, or tell that this may not be."""
    try:
        made = beside.stat()
        if (made.st_uid, made.st_gid) != (existing.st_uid, existing.st_gid):
            os.chown(beside, existing.st_uid, existing.st_gid)
        shutil.copystat(target, beside)
        os.utime(beside)
    except PermissionError:
        return False
    return True


def _renamed(beside: Path, target: Path) -> bool:
    try:
        beside.rename(target)
    except OSError as failure:
        if failure.errno in NOT_BY_RENAMING:
            return False
        raise
    return True


def _copy(whole: IO[bytes], target: Path) -> None:
    """Write into a file that has to stay the one that it is. There is room for all before anything is overwritten."""
    size = whole.seek(0, os.SEEK_END)
    whole.seek(0)
    with target.open("r+b") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)
        shutil.copyfileobj(whole, file, PIECE)
        file.truncate(size)
        file.flush()
        os.fsync(file.fileno())
