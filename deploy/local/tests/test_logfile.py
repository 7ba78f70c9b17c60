import os
from pathlib import Path

from ontomesh_local.logfile import KEPT, open_log, tail


def write(path: Path, text: str, max_bytes: int) -> None:
    descriptor = open_log(path, max_bytes=max_bytes)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def test_a_log_is_continued_while_it_is_small(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    write(log, "one\n", 100)
    write(log, "two\n", 100)
    assert log.read_text() == "one\ntwo\n"


def test_a_large_log_is_set_aside_and_only_so_many_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    for number in range(KEPT + 3):
        write(log, f"run {number}\n", 3)
    assert log.read_text() == f"run {KEPT + 2}\n"
    kept = {path.name: path.read_text() for path in tmp_path.iterdir() if path != log}
    assert kept == {f"service.log.{age}": f"run {KEPT + 2 - age}\n" for age in range(1, KEPT + 1)}


def test_only_the_owner_can_read_a_log(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    write(log, "secret\n", 100)
    assert log.stat().st_mode & 0o077 == 0


def test_the_tail_is_what_came_last_and_after_a_position(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"of an earlier run\n" + b"".join(b"line %d\n" % number for number in range(100)))
    assert tail(log, lines=2) == ["line 98", "line 99"]
    assert tail(log, since=log.stat().st_size - 8) == ["line 99"]
    assert tail(log, since=log.stat().st_size) == []
    assert tail(tmp_path / "none.log") == []
