"""``napari-pffnet``: the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from napari_pffnet import __version__
from napari_pffnet.commands import evaluate, export, models, segment
from napari_pffnet.io.errors import reason
from napari_pffnet.io.terminal import drop, print_any_text, quiet_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code (0 done, 1 some files failed, 2 wrong input, 130 stopped by Ctrl+C)."""
    parser = argparse.ArgumentParser(prog="napari-pffnet", description="Nucleus segmentation with PFFNet.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    segment.add(commands.add_parser("segment", help="segment images"))
    evaluate.add(commands.add_parser("evaluate", help="compare label images with the truth"))
    export.add(commands.add_parser("export", help="write nuclei for QuPath, ImageJ or machine learning"))
    models.add(commands.add_parser("models", help="list, share, rename and remove models"))
    print_any_text()
    quiet_readers()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:  # who reads the output has enough, as in `| head`
        drop(sys.stdout)
        return 0
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(reason(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
