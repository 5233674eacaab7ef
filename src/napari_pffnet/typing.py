"""Types that many modules name."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

#: of any shape and type
Array = NDArray[Any]
