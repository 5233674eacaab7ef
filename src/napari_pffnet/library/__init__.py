"""Models: one safetensors file each; where they live, and what is known of them.

Importing this needs no PyTorch: listing models stays quick, and the panel opens without waiting.
"""

from napari_pffnet.library.changes import add, annotate, export, free_name, remove, rename
from napari_pffnet.library.facts import Seen, date_of, describe, headline, parent, pixel_print, seen_by
from napari_pffnet.library.files import LibraryError, read_extras, save_model
from napari_pffnet.library.folder import Entry, available, entries, entry, find, user_folder
from napari_pffnet.library.loading import DEFAULT, Model, load_model, pick_device

__all__ = [
    "DEFAULT",
    "Entry",
    "LibraryError",
    "Model",
    "Seen",
    "add",
    "annotate",
    "available",
    "date_of",
    "describe",
    "entries",
    "entry",
    "export",
    "find",
    "free_name",
    "headline",
    "load_model",
    "parent",
    "pick_device",
    "pixel_print",
    "read_extras",
    "remove",
    "rename",
    "save_model",
    "seen_by",
    "user_folder",
]
