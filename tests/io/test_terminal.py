"""Progress that is written into files."""

import sys

from tqdm import tqdm

from napari_pffnet.io.errors import reason
from napari_pffnet.io.terminal import IN_FILES, as_typed


def test_progress_in_a_file_is_lines(capsys):
    with tqdm(total=3, desc="a", **IN_FILES | {"delay": 0, "mininterval": 0, "miniters": 1}, leave=False) as bar:
        bar.update(2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "2/3" in lines[1]
    with tqdm(total=3, **IN_FILES, leave=False) as bar:
        bar.update(2)
    assert capsys.readouterr().err == "", "what is quick needs no progress"


def test_errors_of_the_system_have_no_numbers():
    assert reason(FileNotFoundError(2, "No such file or directory", "a.tif")) == "a.tif: No such file or directory"
    assert reason(OSError(28, "No space left on device")) == "No space left on device"
    assert reason(ValueError("no")) == "no"
    assert reason(ValueError()) == "ValueError()"


def test_commands_are_quoted_as_the_shell_wants_them(monkeypatch):
    command = ["python", "-m", "a", r"C:\my cells\p"]
    assert as_typed(command) == r"python -m a 'C:\my cells\p'"
    monkeypatch.setattr(sys, "platform", "win32")
    assert as_typed(command) == r'python -m a "C:\my cells\p"'
