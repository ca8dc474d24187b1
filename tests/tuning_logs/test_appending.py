"""Appending is whole or not at all: several writers, kills, full and read-only disks, wrong paths."""

import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from tests.tuning_logs.samples import TARGET, kernel, plan
from tuning_logs import KernelRecord, TuningLog
from tvm_go.errors import LogError

FORK = multiprocessing.get_context("fork")


def numbered(writer: int, number: int) -> KernelRecord:
    return kernel(key=f"{writer:08x}{number:024x}", error_msg="x" * (number % 97))


def append_many(path: Path, writer: int, count: int) -> None:
    log = TuningLog(path)
    for number in range(count):
        log.append(numbered(writer, number))


def append_until_killed(path: Path, start: int, acknowledge: Connection) -> None:
    log = TuningLog(path)
    for number in range(start, start + 100_000):
        log.append(numbered(0, number))
        acknowledge.send(number)


def append_under_size_limit(path: Path, limit_bytes: int, answer: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))  # Python ignores SIGXFSZ: writes fail
    answer.send(append_until_refused(path))


def ensure_writable_as_nobody(path: Path, answer: Connection) -> None:
    if os.geteuid() == 0:  # root may write everywhere
        os.setuid(65534)
    with pytest.raises(LogError) as caught:
        TuningLog(path).ensure_writable()
    answer.send(str(caught.value))


def append_until_refused(path: Path) -> tuple[int, str]:
    log = TuningLog(path)
    number = 0
    with pytest.raises(LogError) as caught:
        for number in range(100_000):
            log.append(numbered(0, number))
    assert len(log.records) == number
    return number, str(caught.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


# --- several writers ---


def test_two_processes_lose_and_mix_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    writers = [FORK.Process(target=append_many, args=(path, writer, 500)) for writer in (1, 2)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
        assert process.exitcode == 0
    log = TuningLog(path)
    records = log.load()
    assert log.problems == [] and log.torn_lines == 0
    for writer in (1, 2):
        own = [record for record in records if isinstance(record, KernelRecord) and int(record.key[:8], 16) == writer]
        assert [int(record.key[8:], 16) for record in own] == list(range(500))
        assert {len(record.error_msg) for record in own} == set(range(97))


def test_threads_share_one_object(tmp_path: Path) -> None:
    log = TuningLog(tmp_path / "log.jsonl")

    def append_some(writer: int) -> None:
        for number in range(50):
            log.append(numbered(writer, number))
            assert log.best_kernel(numbered(writer, number).key, TARGET) is not None

    threads = [threading.Thread(target=append_some, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.records) == len(TuningLog(log.path).load()) == 200


def test_an_object_survives_a_fork(tmp_path: Path) -> None:
    log = TuningLog(tmp_path / "log.jsonl")
    log.append(numbered(0, 0))
    child = FORK.Process(target=log.append, args=(numbered(0, 1),))
    child.start()
    child.join()
    log.append(numbered(0, 2))
    assert log.records == [numbered(0, number) for number in range(3)]


def test_a_kill_at_any_moment_loses_at_most_the_line_being_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rng = np.random.default_rng(0)
    start = 0
    for _ in range(4):
        receive, send = FORK.Pipe(duplex=False)
        process = FORK.Process(target=append_until_killed, args=(path, start, send))
        process.start()
        send.close()
        assert receive.recv() == start  # it is at work
        assert process.pid is not None
        threading.Event().wait(rng.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        acknowledged = start
        with suppress(EOFError, OSError):  # the last message may be cut off too
            while True:
                acknowledged = receive.recv()
        log = TuningLog(path)
        assert log.load() == [numbered(0, number) for number in range(len(log.records))]
        assert acknowledged + 1 <= len(log.records) <= acknowledged + 2
        start = len(log.records)


def test_a_line_is_one_write_followed_by_one_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("torn")
    calls: list[bytes | str] = []
    real_write, real_fsync = os.write, os.fsync

    def write(descriptor: int, content: bytes) -> int:
        calls.append(content)
        return real_write(descriptor, content)

    def fsync(descriptor: int) -> None:
        calls.append("fsync")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "fsync", fsync)
    TuningLog(path).append(plan())
    assert calls == [b"\n" + plan().to_json_line().encode() + b"\n", "fsync"]


# --- disks and paths that refuse ---


def check_full(path: Path, written: int, message: str, strerror: str) -> None:
    assert written > 0
    assert message.startswith(f"cannot write tuning log {path}: {strerror}; ") and "\n" not in message
    log = TuningLog(path)
    assert log.load() == [numbered(0, number) for number in range(written)]
    assert log.torn_lines == 0 and log.problems == []


def test_a_full_disk_keeps_every_record_and_takes_more_once_there_is_room(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(10_000))
    path = small_disk / "log.jsonl"
    written, message = append_until_refused(path)
    check_full(path, written, message, os.strerror(errno.ENOSPC))
    (small_disk / "ballast").unlink()
    TuningLog(path).append(numbered(0, written))
    check_full(path, written + 1, message, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("limit_bytes", [10_000, 10_001, 10_350])
def test_a_write_that_is_cut_short_is_taken_back(tmp_path: Path, limit_bytes: int) -> None:
    path = tmp_path / "log.jsonl"
    receive, send = FORK.Pipe(duplex=False)
    process = FORK.Process(target=append_under_size_limit, args=(path, limit_bytes, send))
    process.start()
    send.close()
    written, message = receive.recv()
    process.join()
    check_full(path, written, message, os.strerror(errno.ENOSPC))
    TuningLog(path).append(numbered(0, written))
    check_full(path, written + 1, message, os.strerror(errno.ENOSPC))


def test_a_record_that_did_not_reach_the_disk_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = TuningLog(tmp_path / "log.jsonl")
    log.append(kernel())

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(LogError, match=os.strerror(errno.EIO)):
            log.append(plan())
    log.append(plan())
    assert log.records == TuningLog(log.path).load() == [kernel(), plan()]


def test_a_read_only_disk_is_refused_in_one_line_and_still_read(small_disk: Path) -> None:
    path = small_disk / "log.jsonl"
    TuningLog(path).append(kernel())
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    log = TuningLog(path)
    for action in (log.ensure_writable, lambda: log.append(plan())):
        with pytest.raises(LogError, match=f"^cannot write tuning log {path}: {os.strerror(errno.EROFS)}; .*$"):
            action()
    with pytest.raises(LogError, match=os.strerror(errno.EROFS)):
        TuningLog(small_disk / "new" / "log.jsonl").ensure_writable()
    assert log.load() == [kernel()]


def test_a_folder_without_permission_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    tmp_path.chmod(0o500)
    receive, send = FORK.Pipe(duplex=False)
    process = FORK.Process(target=ensure_writable_as_nobody, args=(path, send))
    process.start()
    send.close()
    message = receive.recv()
    process.join()
    assert message.startswith("cannot ") and os.strerror(errno.EACCES) in message and "\n" not in message


def test_missing_parent_folders_are_created(tmp_path: Path) -> None:
    for name in ("a/b/log.jsonl", "c/d/log.jsonl"):
        log = TuningLog(tmp_path / name)
        log.ensure_writable()
        assert log.load() == [] and (tmp_path / name).read_bytes() == b""
        log.append(kernel())
        assert log.load() == [kernel()]


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "below a file"])
def test_a_path_that_cannot_be_a_log_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/full")
        case _:
            path.write_text("")
            path /= "log.jsonl"
    log = TuningLog(path)
    for action in (log.load, log.refresh, log.ensure_writable, lambda: log.append(kernel())):
        with pytest.raises(LogError, match=f"tuning log {path}: .*; give a file"):
            action()
