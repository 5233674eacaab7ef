"""``napari-pffnet models``: the model library."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pffnet.io.terminal import as_typed

if TYPE_CHECKING:
    from napari_pffnet.library import Entry

COLUMNS = ("name", "date", "from", "quality", "note")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the commands, their options and help."""
    parser.description = "The model library: models that come with the package, and your own."
    parser.epilog = (
        "'list' says where your models are; the environment variable NAPARI_PFFNET_MODELS chooses another folder. "
        "Wherever a model is asked for (segment --model, the panel), the names of this list can be given."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _command(
        commands,
        "list",
        list_models,
        "one line per model; damaged or changed ones are reported (exit code 1)",
    )
    one = _command(commands, "show", show, "all that is known of a model")
    _name(one)
    one.add_argument("--json", action="store_true", help="as JSON, with the whole training recipe")
    one = _command(commands, "export", export, "copy a model to a file, to keep or to pass on")
    _name(one)
    one.add_argument(
        "path", metavar="PATH", help="new .safetensors file, or a folder (FOLDER/ if new); never overwritten"
    )
    one = _command(commands, "import", import_, "check a model file and copy it into the library")
    one.add_argument("file", type=Path, metavar="FILE", help="a .safetensors model file")
    one.add_argument("--name", metavar="NAME", help="its name in the library (default: that of the file)")
    one.add_argument("--note", default="", metavar="TEXT", help="what to remember about it")
    one = _command(commands, "rename", rename, "give a model of yours another name")
    _name(one)
    one.add_argument("new", metavar="NEW", help="the new name")
    one = _command(commands, "note", note, "write down something about a model of yours")
    _name(one)
    one.add_argument("text", metavar="TEXT", help="replaces the old note; '' removes it")
    one = _command(commands, "remove", remove, "move a model of yours to the trash; asks first")
    _name(one)
    one.add_argument("--yes", action="store_true", help="do not ask")


def list_models(_options: argparse.Namespace) -> int:
    """Print a table; report damaged files."""
    from napari_pffnet.library import entries, user_folder

    models = [_verified(model) for model in entries()]
    rows = [COLUMNS, *map(_row, models)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    for model in models:
        if model.fault:
            print(f"failed: {model.name}: {model.fault}", file=sys.stderr)
    print(f"note: your models are in {user_folder()}", file=sys.stderr)
    return int(any(model.fault for model in models))


def _verified(model: Entry) -> Entry:
    """Look at the whole file, not only at its header."""
    from napari_pffnet.library import LibraryError
    from napari_pffnet.library.folder import verify

    try:
        verify(model.path)
    except LibraryError as error:
        return replace(model, fault=model.fault or str(error))
    return model


def show(options: argparse.Namespace) -> int:
    """Print everything about a model, and whether its file can be used."""
    from napari_pffnet.library import LibraryError, load_model
    from napari_pffnet.library.folder import entry

    model = entry(options.name)
    fault = model.fault
    try:
        load_model(model.path)
    except LibraryError as error:
        fault = fault or str(error)
    print(_as_json(model, fault) if options.json else _as_text(model, fault))
    return int(bool(fault))


def export(options: argparse.Namespace) -> int:
    """Copy a model to a file."""
    from napari_pffnet import library

    print(f"{options.name} -> {library.export(options.name, options.path)}")
    return 0


def import_(options: argparse.Namespace) -> int:
    """Copy a file into the library."""
    from napari_pffnet import library

    model = library.add(options.file, options.name, options.note)
    print(f"{options.file} -> {model.path}\nuse it with: --model {as_typed([model.name])}")
    return 0


def rename(options: argparse.Namespace) -> int:
    """Give a model another name."""
    from napari_pffnet import library

    print(f"{options.name} -> {library.rename(options.name, options.new).name}")
    return 0


def note(options: argparse.Namespace) -> int:
    """Write a note."""
    from napari_pffnet.library import annotate

    print(f"{options.name}: {annotate(options.name, options.text).note or 'no note'}")
    return 0


def remove(options: argparse.Namespace) -> int:
    """Move a model to the trash if the user agrees."""
    from napari_pffnet import library
    from napari_pffnet.library.folder import own_file

    path = own_file(options.name)
    if not options.yes and not _agreed(f"Move the model '{options.name}' ({path}) to the trash? [y/N] "):
        print("not removed", file=sys.stderr)
        return 1
    library.remove(options.name)
    print(f"moved to the trash: {path}")
    return 0


def _command(commands: Any, name: str, function: Any, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.set_defaults(run=function)
    return parser


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a name of 'models list'")


def _row(model: Entry) -> tuple[str, ...]:
    from napari_pffnet.library.facts import clean, date_of, headline, parent

    note = "comes with the package" if model.embedded else clean(model.note)
    quality = "damaged" if model.fault else headline(model.card)
    return (model.name, *(text or "-" for text in (date_of(model), parent(model.card), quality, note)))


def _facts(model: Entry, fault: str) -> dict[str, Any]:
    from napari_pffnet.io.fingerprint import fingerprint

    return {
        "name": model.name,
        "file": str(model.path),
        "embedded": model.embedded,
        "sha256": fingerprint(model.path),
        "added": model.added,
        "note": model.note,
        "fault": fault,
    }


def _as_json(model: Entry, fault: str) -> str:
    return json.dumps({**_facts(model, fault), "card": model.card}, indent=1)


def _as_text(model: Entry, fault: str) -> str:
    """Return the facts as YAML, which shows nothing that a terminal would obey."""
    import yaml

    facts = {key: value for key, value in _facts(model, fault).items() if value != ""}
    card = {key: value for key, value in model.card.items() if key != "recipe"}
    text = yaml.safe_dump({**facts, "card": _rounded(card)}, sort_keys=False, allow_unicode=True, width=100)
    return text.rstrip() + ("\n# and the training recipe: --json" if "recipe" in model.card else "")


def _rounded(value: Any) -> Any:
    """Return figures with four digits after the point, at any depth."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


def _agreed(question: str) -> bool:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")
