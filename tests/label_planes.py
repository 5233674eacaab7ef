"""Small label planes that tests of correcting share."""

import numpy as np

INTEGERS = [np.uint8, np.int8, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def plane(text, dtype=np.int32):
    """Rows of digits, '.' is background."""
    return np.array([[0 if c == "." else int(c) for c in row] for row in text.split()], dtype)


def applied(change, before):
    """A changed copy of a plane."""
    result = before.copy()
    result[change.indices] = change.values
    return result


def check(before, change, after):
    """The change leads to `after`, names changed pixels only, has the plane's dtype and leaves the input alone."""
    copy = before.copy()
    result = applied(change, before)
    np.testing.assert_array_equal(before, copy)
    np.testing.assert_array_equal(result, plane(after))
    assert change.values.dtype == result.dtype == before.dtype
    assert len(change.values) == np.count_nonzero(before != result)
    assert np.all(before[change.indices] != change.values)


TURNED = {"scale": (0.5, 0.25), "rotate": 30, "translate": (10, -20)}


def squares(dtype=np.int32):
    """Three squares of 6 × 6 pixels: 1 and 2 touch, 5 has a hole."""
    plane = np.zeros((20, 24), dtype)
    plane[2:8, 2:8], plane[2:8, 8:14], plane[10:16, 10:16] = 1, 2, 5
    plane[12, 12] = 0
    return plane


def ids(layer):
    return set(np.unique(layer.data).tolist()) - {0}
