"""Is work in a process of its own the same as without, whatever becomes of that process?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chromeprep.cli._ahead import ahead

# Not in this process: it has threads, and so gets no child.
_HEAD = """
import os, signal, sys, time
from chromeprep.cli._ahead import ahead
parent = os.getpid()
def childless():
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="children are had on Linux only")


def run(code: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", before + _HEAD + code], capture_output=True, text=True, check=False
    )


def said(code: str, *, before: str = "") -> str:
    done = run(code, before=before)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@linux
def test_a_child_does_the_work() -> None:
    code = """
def work():
    print("not heard")
    return os.getpid(), "x" * 1_000_000  # more than a pipe holds
with ahead(work) as result:
    pid, text = result()
print(pid != parent, len(text), childless())
"""
    assert said(code) == "True 1000000 True"


@linux
@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os._exit(3)",
        "sys.exit()",
        "raise MemoryError",
        "return lambda: 0",  # that cannot be sent
        "os.closerange(3, 100)",
    ],
)
def test_a_child_that_brings_nothing_is_not_missed(end: str) -> None:
    code = f"""
def work():
    if os.getpid() != parent:
        {end}
    return os.getpid()
with ahead(work) as result:
    print(result() == parent, childless())
"""
    assert said(code) == "True True"


@linux
def test_what_is_raised_is_raised_here() -> None:
    code = """
from chromeprep.errors import AnnotationError
def work():
    raise AnnotationError("is wrong", path="a.gtf", line=3, hint="mend it")
with ahead(work) as result:
    try:
        result()
    except AnnotationError as error:
        print(error, childless())
"""
    assert said(code) == "a.gtf: line 3: is wrong\n  mend it True"


@linux
def test_a_child_that_nobody_waits_for_is_ended() -> None:
    code = """
try:
    with ahead(lambda: time.sleep(60)):
        raise ValueError
except ValueError:
    print(childless())
"""
    assert said(code) == "True"


@linux
def test_where_children_are_not_waited_for() -> None:
    code = "with ahead(lambda: 7) as result: print(result())"
    assert said(code, before="import signal; signal.signal(17, signal.SIG_IGN)\n") == "7"


@linux
@pytest.mark.parametrize(
    "before",
    [
        "import numpy\n",
        "import threading\nheld = threading.Event()\n"
        "threading.Thread(target=held.wait, daemon=True).start()\n",
        "import os\ndef fork(): raise BlockingIOError\nos.fork = fork\n",
    ],
    ids=["numpy", "thread", "no process left"],
)
def test_no_child_where_there_cannot_be_one(before: str) -> None:
    code = "with ahead(os.getpid) as result: print(result() == parent)"
    assert said(code, before=before) == "True"


@linux
def test_what_is_done_meanwhile_is_done_here() -> None:
    code = """
import threading
done = threading.Event()
def meanwhile():
    if os.getpid() == parent:
        done.set()
    raise ImportError("is met again by whoever needs it")
with ahead(lambda: time.sleep(0.05), meanwhile) as result:
    result()
print(done.wait(5))
"""
    assert said(code) == "True"


def test_here_it_is_done_when_it_is_asked_for() -> None:
    calls: list[int] = []
    with ahead(lambda: calls.append(os.getpid())) as result:
        assert not calls
        result()
    assert calls == [os.getpid()]


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_an_interrupt_ends_both_and_is_told_once(number: int) -> None:
    """As Ctrl-C sends it: to all processes of the terminal."""
    code = """
def stop(*_):
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
try:
    with ahead(lambda: time.sleep(60)) as result:
        print("begun", flush=True)
        result()
except BaseException as stopped:
    print(type(stopped).__name__, childless())
"""
    with subprocess.Popen(
        [sys.executable, "-c", _HEAD + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.1)
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=20)
    name = "KeyboardInterrupt" if number == signal.SIGINT else "SystemExit"
    assert (out, err) == (f"{name} True\n", "")


def test_genes_are_read_without_numpy() -> None:
    code = "import chromeprep.gtf; print('numpy' in sys.modules)"
    assert said(code) == "False"


@linux
def test_the_program_reads_its_genes_so(world: Any, tmp_path: Path) -> None:
    """Nothing that it imports before comes with threads."""
    code = """
fork = os.fork
def counted():
    print("fork", flush=True)
    return fork()
os.fork = counted
from chromeprep.cli import main
main()
"""
    arguments = [str(part) for part in world.arguments("-o", tmp_path / "a.h5")]
    done = subprocess.run(
        [sys.executable, "-c", _HEAD + code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout == "fork\n"


@pytest.mark.parametrize(
    "text", ["chr1\tx\tgene\t1\n", "# nothing\n", "chr1\tx\tgene\t9\t1\t.\t+\t.\t\n"]
)
def test_a_bad_annotation_is_told_of_alike(
    chromeprep: Callable[..., Any], world: Any, workshop: Any, tmp_path: Path, text: str
) -> None:
    bad = workshop.text("bad.gtf", text)
    arguments = [
        str(bad if str(part).endswith(".gtf") else part)
        for part in world.arguments("-o", tmp_path / "a.h5")
    ]
    here = chromeprep(*arguments)
    code = "from chromeprep.cli import main; main()"
    there = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert there.returncode == here.code == 1
    assert there.stderr == here.err
    assert "bad.gtf" in there.stderr
    assert list(tmp_path.glob("*.h5")) == []
