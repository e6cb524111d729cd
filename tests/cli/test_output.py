"""Output goes where it is told, and a file is replaced as the file that it is when all is there."""

import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.cli.output import opened
from gateway.errors import OperatorError

NEW = b"new\n" * 100_000  # more than a pipe holds


def write(path: Path | str, content: bytes = NEW) -> None:
    with opened(Path(path)) as file:
        file.write(content)


def read_meanwhile(descriptor: int, work: Callable[[], None]) -> bytes:
    """What comes out of a pipe while some work is done; the other end is closed by then."""
    pieces: list[bytes] = []

    def read() -> None:
        while piece := os.read(descriptor, 1 << 16):
            pieces.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    work()
    reader.join()
    os.close(descriptor)
    return b"".join(pieces)


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/thread-self/fd/{}", "link"])
def test_a_descriptor_is_written_to(name: str, tmp_path: Path) -> None:
    out, into = os.pipe()
    (tmp_path / "link").symlink_to(f"/dev/fd/{into}")
    path = tmp_path / name.format(into)

    def work() -> None:
        write(path)
        os.close(into)

    assert read_meanwhile(out, work) == NEW


@pytest.mark.parametrize("mode", [os.O_TRUNC, os.O_APPEND])
def test_a_descriptor_of_a_file_goes_on_where_it_stands(mode: int, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"" if mode == os.O_TRUNC else b"before\n")
    descriptor = os.open(tmp_path / "x", os.O_WRONLY | mode)
    os.write(descriptor, b"first\n")
    write(f"/dev/fd/{descriptor}")
    os.write(descriptor, b"last\n")
    os.close(descriptor)
    assert (tmp_path / "x").read_bytes() == (b"" if mode == os.O_TRUNC else b"before\n") + b"first\n" + NEW + b"last\n"


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_a_named_pipe_is_written_to(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    out = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(out, False)
    hold = os.open(tmp_path / "pipe", os.O_WRONLY)  # so that the reader sees no end before there was a beginning
    os.set_blocking(out, True)

    def work() -> None:
        write(tmp_path / name)
        os.close(hold)

    assert read_meanwhile(out, work) == NEW
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_reader_that_leaves_is_no_failure_of_the_file() -> None:
    out, into = os.pipe()
    os.close(out)
    with pytest.raises(BrokenPipeError):
        write(f"/dev/fd/{into}")
    os.close(into)


@pytest.mark.parametrize("link", [False, True])
def test_a_device_stays_a_device(link: bool, tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    write(tmp_path / "null" if link else "/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OperatorError, match=r"^/dev/full: it cannot be written: No space left on device$"):
        write("/dev/full")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_file_keeps_its_permissions_its_names_and_the_links_to_it(tmp_path: Path) -> None:
    for name in ("plain", "aimed at", "first name"):
        (tmp_path / name).write_bytes(b"old" * 1_000_000)
        (tmp_path / name).chmod(0o604)
    os.setxattr(tmp_path / "plain", "user.of", b"value")
    (tmp_path / "link").symlink_to("aimed at")
    (tmp_path / "link of a link").symlink_to(tmp_path / "link")
    (tmp_path / "second name").hardlink_to(tmp_path / "first name")
    inode = (tmp_path / "first name").stat().st_ino
    before = (tmp_path / "plain").stat().st_mtime_ns
    for name in ("plain", "link of a link", "second name"):
        write(tmp_path / name)
    for name in ("plain", "aimed at", "first name"):
        assert (tmp_path / name).read_bytes() == NEW
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o604
    assert os.getxattr(tmp_path / "plain", "user.of") == b"value"
    assert (tmp_path / "plain").stat().st_mtime_ns > before
    assert (tmp_path / "link").readlink() == Path("aimed at")
    assert (tmp_path / "first name").stat().st_ino == (tmp_path / "second name").stat().st_ino == inode
    assert len(list(tmp_path.iterdir())) == 6


def test_a_new_file_has_the_permissions_of_any(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("made")
    (tmp_path / "made by touch").touch()
    for name in ("new", "dangling", "x" * 255):
        write(tmp_path / name)
    for name in ("new", "made", "x" * 255):
        assert (tmp_path / name).read_bytes() == NEW
        assert (tmp_path / name).stat().st_mode == (tmp_path / "made by touch").stat().st_mode
    assert (tmp_path / "dangling").is_symlink()


@pytest.mark.parametrize("names", [1, 2])
def test_a_file_is_as_it_was_until_all_is_there(names: int, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    if names == 2:
        (tmp_path / "other name").hardlink_to(tmp_path / "out")
    with suppress(ZeroDivisionError), opened(tmp_path / "out") as file:
        file.write(NEW)
        file.flush()
        assert (tmp_path / "out").read_text() == "old"
        raise ZeroDivisionError
    assert (tmp_path / "out").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == names


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none/x", "No such file or directory"),
        ("folder", "Is a directory"),
        ("plain/x", "Not a directory"),
        ("circle", "Too many levels of symbolic links"),
        ("x" * 256, "File name too long"),
        ("/dev/fd/999", "Bad file descriptor"),
        ("/dev/full", "No space left on device"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_line(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain").touch()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OperatorError) as caught:
        write(tmp_path / name)
    assert caught.value.message == f"{tmp_path / name}: it cannot be written: {reason}"
    assert len(list(tmp_path.iterdir())) == 3
