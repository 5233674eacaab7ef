"""Changes of the user's models: add, rename, note, remove, export. A model file itself is never rewritten."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from dataclasses import replace
from datetime import date
from pathlib import Path

import send2trash

from napari_pffnet.io.atomic import move_new, write_atomic
from napari_pffnet.io.errors import reason
from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.io.paths import DEVICE
from napari_pffnet.library.files import SUFFIX, LibraryError, build
from napari_pffnet.library.folder import (
    FOLDER_VARIABLE,
    Entry,
    Sidecar,
    available,
    entry,
    own_file,
    read_entry,
    read_sidecar,
    user_folder,
    verify,
    write_sidecar,
)

LONGEST = 100
#: words that ``--init`` of training understands
RESERVED = re.compile("imagenet|none", re.IGNORECASE)


def add(path: str | Path, name: str | None = None, note: str = "") -> Entry:
    """Copy a model file into the user's folder.

    Parameters
    ----------
    path : str or Path
        The whole file is checked first.
    name : str, optional
        Becomes the file's name; spaces around it are dropped. Without it, the file keeps its own.
    note : str
        What the user wants to remember.

    Raises
    ------
    LibraryError
        Not a model that can be used, or the name is taken (in small or capital letters, also by a model of the package)
        or no file name, or the folder is full or not writable. The folder is unchanged.
    OSError
        The file cannot be read.
    """
    source = Path(path)
    name = _stored_name(source.stem if name is None else name)
    if not source.is_file():
        raise LibraryError(f"no file {source}; give the path of a .safetensors model file")
    verify(source)
    digest = fingerprint(source)
    build(source)
    target = user_folder() / f"{name}{SUFFIX}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, target, digest)
        try:
            write_sidecar(target, Sidecar(digest, note.strip(), date.today().isoformat()))
        except OSError:
            target.unlink()
            raise
    except OSError as error:
        if isinstance(error, FileExistsError) and target.exists():
            raise LibraryError(_taken(name)) from None
        if error.filename == str(source):
            raise
        raise LibraryError(
            f"the model library cannot be written ({reason(error)}); make room there, or set {FOLDER_VARIABLE} to a"
            " folder that can be written, and try again"
        ) from error
    return read_entry(name, target)


def rename(old: str, new: str) -> Entry:
    """Give one of the user's models another name; file, note and hash stay as they are.

    Raises
    ------
    LibraryError
        No such model of the user's, or the new name is taken or no file name.
    """
    path, name = own_file(old), _stored_name(new, besides=old)
    target = path.with_name(f"{name}{SUFFIX}")
    try:
        if target.exists() and target.samefile(path):  # other capitals, where the system does not tell them apart
            path.rename(target)
        else:
            move_new(path, target)
    except FileExistsError:
        raise LibraryError(_taken(name)) from None
    beside = path.with_suffix(".json")
    if beside.exists():
        beside.replace(target.with_suffix(".json"))
    else:  # what another model of that name has left
        target.with_suffix(".json").unlink(missing_ok=True)
    return read_entry(name, target)


def annotate(name: str, note: str) -> Entry:
    """Replace the note of one of the user's models; an empty one removes it."""
    path = own_file(name)
    sidecar = read_sidecar(path)
    if not sidecar.sha256:
        sidecar = replace(sidecar, sha256=fingerprint(path), added=date.today().isoformat())
    write_sidecar(path, replace(sidecar, note=note.strip()))
    return read_entry(name, path)


def remove(name: str) -> None:
    """Move one of the user's models, its note too, to the system's trash.

    Raises
    ------
    LibraryError
        No such model of the user's, or there is no trash where it lies. The folder is unchanged.
    """
    path = own_file(name)
    beside = path.with_suffix(".json")
    try:
        send2trash.send2trash(path)
    except OSError as error:
        raise LibraryError(
            f"'{name}' cannot be moved to the trash ({reason(error)}); delete {path} yourself"
        ) from error
    if beside.exists():
        try:
            send2trash.send2trash(beside)
        except OSError:
            beside.unlink()


def export(name: str, path: str | Path) -> Path:
    """Copy a model, the user's or the package's, to a file; its card goes with it, the note stays here.

    Parameters
    ----------
    name : str
        A name of the library.
    path : str or Path
        The new file, or a folder for ``NAME.safetensors``, made if a text ends in ``/``; the suffix is added where it
        lacks.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    LibraryError
        No such model, it cannot be used, or there is a file at the path already.
    """
    source = entry(name).path
    verify(source)
    build(source)
    target = Path(path)
    if target.is_dir() or str(path).endswith(("/", os.sep)):
        target = target / source.name
    if target.suffix != SUFFIX:
        target = target.with_name(f"{target.name}{SUFFIX}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _copy(source, target, fingerprint(source))
    except FileExistsError:
        raise LibraryError(f"{target} is there already and stays as it is; give another path") from None
    return target


def free_name(name: str) -> str:
    """Return the name, with a number behind it if it is taken."""
    taken = {known.casefold() for known in available()}
    names = (name, *(f"{name} {number}" for number in range(2, len(taken) + 3)))
    return next(each for each in names if each.casefold() not in taken)


def _stored_name(name: str, besides: str = "") -> str:
    """Return a name as it is stored; LibraryError if it is taken, by another spelling of it too except `besides`."""
    name = unicodedata.normalize("NFC", name.strip())
    fault = _fault(name)
    if fault:
        raise LibraryError(f"'{name}' cannot be the name of a model: {fault}; choose another name")
    others = {known.casefold(): known for known in available() if known != besides or known == name}
    if name.casefold() in others:
        raise LibraryError(_taken(name, others[name.casefold()]))
    return name


def _fault(name: str) -> str:
    """Say why a name is no file name on every system; "" if it is one."""
    if not name:
        return "it is empty"
    if any(unicodedata.category(letter)[0] == "C" for letter in name):
        return "it has characters that cannot be seen"
    if re.search(r'[/\\:*?"<>|]', name):
        return 'it has one of / \\ : * ? " < > |'
    if name[0] in ".-~" or name[-1] == ".":
        return "it begins with . - or ~, or ends with ."
    if name.casefold().endswith(SUFFIX):
        return f"it ends in {SUFFIX}"
    if len(name.encode()) > LONGEST:
        return f"it is longer than {LONGEST} letters"
    return "it is a reserved word" if RESERVED.fullmatch(name) or DEVICE.fullmatch(name) else ""


def _taken(name: str, known: str = "") -> str:
    spelled = f", as '{known}'" if known not in ("", name) else ""
    return f"there is a model '{name}' already{spelled}; choose another name"


def _copy(source: Path, target: Path, digest: str) -> None:
    """Copy completely or not at all, never replacing a file."""

    def copy(temporary: Path) -> None:
        shutil.copyfile(source, temporary)
        if fingerprint(temporary) != digest:
            raise LibraryError(f"{source} changed while it was copied; try again when nothing writes it any more")

    write_atomic(target, copy, replace=False)
