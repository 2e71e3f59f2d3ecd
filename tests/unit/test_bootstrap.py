"""envs/bootstrap.sh: what it says when something is missing, and when it installs. Nothing is downloaded."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "envs" / "bootstrap.sh"
BASIC_TOOLS = ["sh", "cat", "cut", "dirname", "find", "mkdir", "mv", "rm", "sed", "sha256sum"]
CHMOD = shutil.which("chmod")


def executable(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


class Machine:
    """A PATH of one folder, which holds only what the script needs; take things from it to have them missing."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in BASIC_TOOLS:
            found = shutil.which(tool)
            assert found, f"{tool} is missing here"
            (self.bin / tool).symlink_to(found)
        executable(self.bin / "python3", f'exec "{sys.executable}" "$@"\n')
        executable(self.bin / "g++", "exit 0\n")
        # Writes a line for each call in place of locking: the tests run where util-linux may be missing.
        executable(self.bin / "flock", f'echo "$@" >>"{folder}/flock.log"\n')
        self.venv = folder / "venv"
        self.requirements = folder / "requirements.txt"
        self.requirements.write_text("")

    def remove(self, tool: str) -> None:
        (self.bin / tool).unlink()

    def run(self, *arguments, **environment) -> subprocess.CompletedProcess:
        arguments = arguments or (self.venv, self.requirements)
        return subprocess.run(
            [str(self.bin / "sh"), str(SCRIPT), *map(str, arguments)],
            env={"PATH": str(self.bin), "HOME": str(self.folder), "PIP_NO_INDEX": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
            # A shell cannot trap a signal that is ignored when it starts, as SIGINT may be where these tests run.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def first_line_of_failure(self, **environment) -> str:
        result = self.run(**environment)
        assert result.returncode != 0, result.stdout
        assert not self.venv.exists()
        return result.stdout.splitlines()[0]

    def fake_venv(self) -> Path:
        """A virtual environment whose pip only notes that it was called and then does what pip.sh says.

        From here on python3 makes such environments, too: a real one takes seconds.
        """
        (self.folder / "pip.sh").write_text("")
        fake = self.folder / "fake-python"
        executable(fake, f'echo "$@" >>"{self.folder}/pip.log"\n. "{self.folder}/pip.sh"\n')
        make = self.folder / "make-venv"
        executable(
            make,
            f'mkdir -p "$1/bin" && : >"$1/pyvenv.cfg" && cat "{fake}" >"$1/bin/python"\n"{CHMOD}" +x "$1/bin/python"\n',
        )
        executable(
            self.bin / "python3",
            f'[ "$1 $2" = "-m venv" ] && exec "{make}" "$3"\nexec "{sys.executable}" "$@"\n',
        )
        subprocess.run([str(make), str(self.venv)], env={"PATH": str(self.bin)}, check=True)
        return self.venv

    def pip_calls(self) -> int:
        log = self.folder / "pip.log"
        return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def sha256(*paths: Path) -> str:
    return "".join(hashlib.sha256(path.read_bytes()).hexdigest() + "\n" for path in paths)


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        ("python3", ["python3 is not found", "apt-get install python3 python3-venv", "dnf install python3"]),
        ("g++", ["C++ compiler", "apt-get install g++", "dnf install gcc-c++"]),
        ("flock", ["flock", "apt-get install util-linux", "dnf install util-linux"]),
    ],
)
def test_a_missing_tool_is_named_first_with_how_to_get_it(machine, tool, says):
    machine.remove(tool)
    line = machine.first_line_of_failure()
    assert [part for part in says if part not in line] == []


@pytest.mark.parametrize("prints", ["3.10", "2.7", "Python 3.9.2"])
def test_an_old_python_is_refused(machine, prints):
    executable(machine.bin / "python3", f'echo "{prints}"\n')
    line = machine.first_line_of_failure()
    assert "too old" in line and "3.11 or newer" in line and "apt-get install python3" in line


def test_a_python_that_does_not_run_is_refused(machine):
    executable(machine.bin / "python3", "exit 127\n")
    assert "python3 does not run" in machine.first_line_of_failure()


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_or_ensurepip_is_refused(machine, module):
    modules = machine.folder / "modules"
    modules.mkdir()
    (modules / f"{module}.py").write_text("raise ImportError\n")
    line = machine.first_line_of_failure(PYTHONPATH=str(modules))
    assert "virtual environments" in line and "apt-get install python3-venv" in line


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ("os.statvfs = lambda path: types.SimpleNamespace(f_flag=os.ST_NOEXEC)", "is mounted noexec"),
        ("shutil.disk_usage = lambda path: types.SimpleNamespace(free=0.2e9)", "has 0.2 GB free, but the packages"),
        ("shutil.disk_usage = lambda path: types.SimpleNamespace(free=2e9)", "take at least 3 GB; make room or name"),
        ("tempfile.gettempdir = lambda: (_ for _ in ()).throw(OSError)", "set TMPDIR to one that can"),
    ],
)
def test_a_place_that_cannot_hold_the_packages_is_refused(machine, patch, says):
    modules = machine.folder / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(f"import os, shutil, tempfile, types\n{patch}\n")
    assert says in machine.first_line_of_failure(PYTHONPATH=str(modules))


def test_the_checks_come_in_order(machine):
    for tool, wanted in [("flock", "flock"), ("g++", "C++ compiler"), ("python3", "python3 is not found")]:
        machine.remove(tool)
        assert wanted in machine.first_line_of_failure()


def test_python_variable_names_another_interpreter(machine):
    machine.remove("python3")
    assert "no-such-python is not found" in machine.first_line_of_failure(PYTHON="no-such-python")
    machine.fake_venv()
    assert machine.run(PYTHON=sys.executable).returncode == 0


@pytest.mark.parametrize("compiler", ["c++", "other-compiler"])
def test_another_compiler_will_do(machine, compiler):
    (machine.bin / "g++").rename(machine.bin / compiler)
    machine.fake_venv()
    environment = {} if compiler == "c++" else {"CXX": f"{compiler} -O2"}
    assert machine.run(**environment).returncode == 0


def test_a_compiler_variable_that_names_nothing_is_refused(machine):
    assert "no-such-compiler" in machine.first_line_of_failure(CXX="no-such-compiler")


def test_wrong_usage_and_missing_requirements_are_refused(machine):
    assert machine.run(machine.venv).stdout.startswith("usage: ")
    machine.requirements.write_text("-r other.txt\n")
    assert "other.txt does not exist" in machine.first_line_of_failure()


def test_makes_an_environment_with_pip(machine):
    result = machine.run()
    assert result.returncode == 0, result.stdout
    assert "minutes" in result.stdout.splitlines()[0]
    assert (machine.venv / ".installed").read_text() == sha256(machine.requirements)
    assert not (machine.venv / ".installing").exists()
    subprocess.run([machine.venv / "bin" / "python", "-m", "pip", "--version"], check=True, stdout=subprocess.DEVNULL)
    assert (machine.folder / "flock.log").read_text() == "9\n"


def test_an_unchanged_file_is_not_installed_again_and_takes_no_time(machine):
    machine.fake_venv()
    assert machine.run().returncode == 0
    executable(machine.bin / "python3", "sleep 60\n")  # not needed any more
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        result = machine.run()
        took.append(time.perf_counter() - begin)
        assert (result.returncode, result.stdout) == (0, "")
    assert machine.pip_calls() == 1
    assert min(took) < 0.2


def test_a_changed_file_is_installed_again_included_ones_too(machine):
    included = machine.folder / "more" / "included.txt"
    included.parent.mkdir()
    deepest = included.with_name("deepest.txt")
    deepest.write_text("")
    included.write_text("-r deepest.txt  # beside this one\n")
    machine.requirements.write_text("-r more/included.txt\n")
    machine.fake_venv()
    files = (machine.requirements, included, deepest)
    for calls, file in enumerate(files, start=1):
        assert machine.run().returncode == 0
        assert machine.pip_calls() == calls
        assert (machine.venv / ".installed").read_text() == sha256(*files)
        file.write_text(file.read_text() + "# changed\n")


def test_an_environment_without_its_interpreter_is_made_again(machine):
    machine.fake_venv()
    assert machine.run().returncode == 0
    (machine.venv / "bin" / "python").unlink()
    assert machine.run().returncode == 0
    assert (machine.venv / "bin" / "python").exists()
    assert machine.pip_calls() == 2


def test_a_failed_install_is_done_again_and_keeps_what_there_is(machine):
    (machine.fake_venv() / "kept").touch()
    (machine.folder / "pip.sh").write_text("exit 1\n")
    assert machine.run().returncode == 1
    assert not (machine.venv / ".installed").exists()
    (machine.folder / "pip.sh").write_text("")
    assert machine.run().returncode == 0
    assert machine.pip_calls() == 2
    assert (machine.venv / "kept").exists()


@pytest.mark.parametrize("name", ["KILL", "TERM", "INT"])
def test_an_interrupted_install_is_done_again_from_the_start(machine, name):
    (machine.fake_venv() / "half-a-package").touch()
    (machine.folder / "pip.sh").write_text(f"kill -{name} $PPID\nexit 1\n")
    assert machine.run().returncode != 0
    assert not (machine.venv / ".installed").exists()
    (machine.folder / "pip.sh").write_text("")
    result = machine.run()
    assert result.returncode == 0 and "interrupted" in result.stdout
    assert not (machine.venv / "half-a-package").exists()
    assert machine.pip_calls() == 2
    assert (machine.venv / ".installed").read_text() == sha256(machine.requirements)


def test_a_folder_with_other_files_is_left_alone(machine):
    machine.venv.mkdir()
    (machine.venv / "thesis.txt").touch()
    result = machine.run()
    assert result.returncode == 1 and "no virtual environment" in result.stdout
    assert os.listdir(machine.venv) == ["thesis.txt"]


@pytest.mark.skipif(shutil.which("flock") is None, reason="needs util-linux")
def test_two_calls_at_once_install_once(machine):
    machine.remove("flock")
    (machine.bin / "flock").symlink_to(shutil.which("flock"))
    machine.fake_venv()
    (machine.folder / "pip.sh").write_text(f'PATH="{os.defpath}" sleep 0.3\n')
    command = [str(machine.bin / "sh"), str(SCRIPT), str(machine.venv), str(machine.requirements)]
    calls = [subprocess.Popen(command, env={"PATH": str(machine.bin)}) for _ in range(3)]
    assert [call.wait(timeout=60) for call in calls] == [0, 0, 0]
    assert machine.pip_calls() == 1


def test_files_with_hashes_are_installed_first_and_those_without_in_a_call_of_their_own(machine):
    hashed, included, more = (machine.folder / name for name in ("hashed.txt", "included.txt", "more of it.txt"))
    included.write_text("one==1 \\\n    --hash=sha256:0123\n")
    hashed.write_text("-r included.txt\n")
    more.write_text("two==2 --hash=sha256:4567\n")
    machine.fake_venv()
    for calls, pip, status in (1, "exit 1\n", 1), (3, "", 0):  # after a failure, what has no hashes is not installed
        (machine.folder / "pip.sh").write_text(pip)
        assert machine.run(machine.venv, machine.requirements, hashed, more).returncode == status
        assert machine.pip_calls() == calls
    called = [line.partition(" -r ")[2] for line in (machine.folder / "pip.log").read_text().splitlines()]
    assert called == [f"{hashed} -r {more}"] * 2 + [str(machine.requirements)]


def test_several_files_are_installed_together_and_some_of_them_are_then_there(machine):
    checks = machine.folder / "requirements of checks.txt"
    checks.write_text("# other contents\n")
    machine.fake_venv()
    assert machine.run().returncode == 0
    assert machine.run(machine.venv, machine.requirements, checks).returncode == 0
    last = (machine.folder / "pip.log").read_text().splitlines()[-1]
    assert last.endswith(f"-r {machine.requirements} -r {checks}")
    assert (machine.venv / ".installed").read_text() == sha256(machine.requirements, checks)
    assert machine.run().returncode == 0
    assert machine.pip_calls() == 2
