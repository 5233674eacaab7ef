"""A card in words; cards are free-form."""

import re
from pathlib import Path

import numpy as np
import pytest

from napari_pffnet.library import Entry, date_of, describe, entries, headline, parent, pixel_print, seen_by


@pytest.mark.parametrize(
    ("card", "text"),
    [
        ({}, ""),
        ({"validation": {"ap50": 0.8, "pq": 0.7}}, "AP50 0.80"),
        ({"validation": {"pq": 0.7}}, "PQ 0.70"),
        ({"validation": {"a": {"ap50": 0.81}, "b": {"ap50": 0.6, "pq": 1}}}, "AP50 0.81 a, 0.60 b"),
        (
            {"gate": {"old": {"ap50": 0.5}, "new": {"ap50": 0.75}}, "validation": {"ap50": 0.9}},
            "AP50 0.75 (parent 0.50)",
        ),
        ({"gate": {"old": {"ap50": 0.5}}, "validation": {"ap50": 0.9}}, "AP50 0.90"),
        ({"validation": "good", "gate": []}, ""),
        ({"validation": {"ap50": "good", "a": {"ap50": True}}}, ""),
    ],
)
def test_headline(card, text):
    assert headline(card) == text


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"name": "default", "sha256": "0123456789abcdef"}, "default 01234567"),
        ({"name": "default"}, "default"),
        ("a file", "a file"),
        (None, ""),
        (["odd"], "['odd']"),
    ],
)
def test_parent(known, text):
    assert parent({"parent": known}) == text


def test_images_that_were_seen_are_told_by_name_and_pixels():
    one, other = np.zeros((4, 5), np.uint8), np.ones((4, 5), np.uint8)
    data = {"learnt": ["a", "b"], "held_out": ["c"], "prints": {"a": [pixel_print(one)], "c": [pixel_print(one)]}}
    seen = seen_by({"data": data})
    assert seen.among(["a", "b", "c", "d"], lambda _name: pixel_print(one)) == (["a", "b"], ["c"])
    assert seen.among(["a", "b", "c", "d"], lambda _name: pixel_print(other)) == (["b"], []), (
        "of b the name is all that is known"
    )
    assert seen.among(["a"], lambda _name: None) == (["a"], [])
    assert pixel_print(one) != pixel_print(one.reshape(5, 4))
    assert seen_by({"data": "odd"}).among(["a"], lambda _name: pixel_print(one)) == ([], [])
    assert seen_by({"data": {"images": ["a"]}}).learnt == ["a"]


def test_date_is_that_of_the_card_or_of_the_adding():
    assert date_of(Entry("a", Path(), {"date": "2026-01-02"}, added="2026-03-04")) == "2026-01-02"
    assert date_of(Entry("a", Path(), added="2026-03-04")) == "2026-03-04"


def test_description_of_the_embedded_model():
    lines = describe(entries()[0]).splitlines()
    assert lines[0].startswith("Nuclei in fluorescence, histology")
    assert re.match(r"AP50 0\.\d\d fluorescence, 0\.\d\d histology, 0\.\d\d brightfield", lines[1])
    assert lines[-1] == "comes with the package"


def test_what_a_terminal_would_obey_is_left_out():
    entry = Entry("a", Path(), {"name": "a\x1b[2Jb"}, note="two\nlines\u202e")
    assert describe(entry).splitlines() == ["a [2Jb", "two lines"]
