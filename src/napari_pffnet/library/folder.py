"""Where models live: those that come with the package, and the user's folder.

The user's folder is ``platformdirs.user_data_path("napari-pffnet")/models``, or what the environment variable
``NAPARI_PFFNET_MODELS`` names. A model there is ``NAME.safetensors``, never changed once it is there, and beside it
``NAME.json`` with its SHA-256, the user's note and the date. A model file that somebody has put there by hand, without
``NAME.json``, is a model as well.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.library.files import SUFFIX, LibraryError, read_header

FOLDER_VARIABLE = "NAPARI_PFFNET_MODELS"


@dataclass(frozen=True)
class Sidecar:
    """What ``NAME.json`` says: SHA-256 of the model file, note of the user, date when it was added; "" if unknown."""

    sha256: str = ""
    note: str = ""
    added: str = ""


@dataclass(frozen=True)
class Entry:
    """A model of the library.

    Attributes
    ----------
    name : str
        What `find` and `load_model` know it by.
    path : Path
        Its file.
    card : dict
        What training wrote into the file: parent, data, recipe, validation figures, date.
    embedded : bool
        It comes with the package: no rename, note or removal.
    fault : str
        Why it cannot be used, and what to do; "" if it can. Contents of the weights are only checked on loading.
    note, added, sha256 : str
        As of `Sidecar`; "" for embedded models.
    """

    name: str
    path: Path
    card: dict[str, Any] = field(default_factory=dict)
    embedded: bool = False
    fault: str = ""
    note: str = ""
    added: str = ""
    sha256: str = ""


def user_folder() -> Path:
    """Return the folder of the user's models; it need not exist yet."""
    chosen = os.environ.get(FOLDER_VARIABLE, "")
    return Path(chosen).expanduser() if chosen else user_data_path("napari-pffnet", appauthor=False) / "models"


@cache
def embedded_folder() -> Path:
    """Return the folder of the models that come with the package."""
    return Path(str(files("napari_pffnet") / "weights"))


def available() -> dict[str, Path]:
    """Names and files of all models, those of the package first; whether a file can be used is told by `entries`."""
    embedded = _models(embedded_folder())
    return embedded | _models(user_folder()) | embedded


def entries() -> list[Entry]:
    """Return all models, those of the package first. Only headers are read; a damaged file hides no other one."""
    embedded = _models(embedded_folder())
    shipped = [read_entry(name, path, embedded=True) for name, path in embedded.items()]
    mine = [read_entry(name, path) for name, path in _models(user_folder()).items()]
    return shipped + [replace(entry, fault=_shadowed(entry)) if entry.name in embedded else entry for entry in mine]


def entry(name: str) -> Entry:
    """Return one model by its name; LibraryError if there is none."""
    for each in entries():
        if each.name == name:
            return each
    raise LibraryError(f"no model '{name}' in the library; it has: {', '.join(available()) or 'none'}")


def find(name: str | Path) -> Path:
    """Return the file of a model's name or path.

    A name of the library wins over a file of that name in the present folder (write ``./NAME`` for the file), and a
    model of the package over one of the user's.

    Raises
    ------
    LibraryError
        There is no such model.
    """
    text = str(name)
    if Path(text).name == text:
        for folder in (embedded_folder(), user_folder()):
            if (folder / f"{text}{SUFFIX}").is_file():
                return folder / f"{text}{SUFFIX}"
    path = Path(name)
    if path.is_file():
        return path
    raise LibraryError(
        f"no model '{name}'; give the path of a .safetensors model file or one of: {', '.join(available()) or 'none'}"
    )


def own_file(name: str) -> Path:
    """Return the file of one of the user's models; those of the package are never changed.

    Raises
    ------
    LibraryError
        The user has no such model.
    """
    path = user_folder() / f"{name}{SUFFIX}"
    if name == path.stem and path.is_file():
        return path
    if name in available():
        raise LibraryError(f"'{name}' comes with the package and stays as it is; choose a model of your own")
    raise LibraryError(f"no model '{name}' in {user_folder()}; see: napari-pffnet models list")


def verify(path: Path) -> None:
    """Check that a model in the user's folder is still what was added there; other files pass.

    Raises
    ------
    LibraryError
        The file has changed since, or its ``NAME.json`` cannot be read.
    """
    if path.parent.resolve() != user_folder().resolve():
        return
    sidecar = read_sidecar(path)
    if sidecar.sha256 and fingerprint(path) != sidecar.sha256:
        raise LibraryError(
            f"{path} is not the file any more that was added on {sidecar.added or 'its day'}: damaged, or changed."
            f" Remove the model '{path.stem}' and import it again from where it came from; or, if you replaced the file"
            f" yourself, delete {path.with_suffix('.json').name} beside it"
        )


def read_entry(name: str, path: Path, *, embedded: bool = False) -> Entry:
    """Read header and sidecar of a model; what is wrong with them becomes the entry's fault."""
    card: dict[str, Any] = {}
    sidecar, faults = Sidecar(), []
    try:
        _, card = read_header(path)
    except LibraryError as error:
        faults.append(str(error))
    try:
        sidecar = sidecar if embedded else read_sidecar(path)
    except LibraryError as error:
        faults.append(str(error))
    return Entry(name, path, card, embedded, "; ".join(faults), sidecar.note, sidecar.added, sidecar.sha256)


def read_sidecar(model: Path) -> Sidecar:
    """Read what is kept beside a model; empty if there is nothing.

    Raises
    ------
    LibraryError
        There is a file, but not one of ours.
    """
    path = model.with_suffix(".json")
    try:
        known = json.loads(path.read_bytes())
        return Sidecar(**{key: str(known.get(key, "")) for key in ("sha256", "note", "added")})
    except FileNotFoundError:
        return Sidecar()
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise LibraryError(f"{path} cannot be read ({error}); delete it: the model stays, its note is lost") from None


def write_sidecar(model: Path, sidecar: Sidecar) -> None:
    """Write what is kept beside a model."""
    write_atomic(model.with_suffix(".json"), json.dumps(asdict(sidecar), indent=1, ensure_ascii=False).encode())


def _models(folder: Path) -> dict[str, Path]:
    """Model files by name; the hidden ones are half-written copies."""
    found = [file for file in folder.glob(f"*{SUFFIX}") if file.is_file() and not file.name.startswith(".")]
    return {file.stem: file for file in sorted(found, key=lambda file: (file.stem.casefold(), file.stem))}


def _shadowed(entry: Entry) -> str:
    return f"{entry.path}: the package has a model '{entry.name}', too, which is used; rename or remove this file"
