"""Where nuclei come from, in the rows of a layer."""

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Labels

from label_planes import squares
from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.layers.label_rows import ACCEPTED
from napari_pffnet.curate.operations import delete, merge, relabel
from napari_pffnet.curate.split import split_by_line

MODEL = {"napari-pffnet": {"model": "no/such/model/mine.safetensors"}}


def follow(layer):
    viewer = ViewerModel()
    viewer.add_layer(layer)
    return ActiveLabels(viewer).rows


def write(layer, change):
    layer.data_setitem(change.indices, change.values)


def column(layer, name):
    return layer.features.set_index("index")[name].to_dict()


def test_painted_and_predicted_nuclei_are_told_apart():
    layer = Labels(squares(), features={"index": [1, 2, 5], "score": [0.9, 0.8, 0.7]}, metadata=MODEL)
    rows = follow(layer)
    layer.data_setitem((np.array([0, 0, 2]), np.array([20, 21, 2])), np.array([9, 9, 9]))
    assert column(layer, "origin") == {1: "mine", 2: "mine", 5: "mine", 9: "painted"}
    assert column(layer, "state") == {1: "edited", 2: "", 5: "", 9: "new"}
    assert column(layer, "parents") == {1: "", 2: "", 5: "", 9: ""}
    assert len(rows.table()) == 4
    changed = column(layer, "changed")
    assert (changed[2], changed[5]) == ("", "")
    assert pd.Timestamp(changed[9]).tzinfo is not None


def test_shipped_models_are_named_with_their_hash():
    layer = Labels(squares(), metadata={"napari-pffnet": {"model": "default"}})
    follow(layer).set_state([1], ACCEPTED)
    assert layer.features["origin"].str.fullmatch(r"default [0-9a-f]{8}").all()


def test_a_split_nucleus_names_what_it_was():
    layer = Labels(squares(), metadata=MODEL)
    rows = follow(layer)
    write(layer, split_by_line(layer.data, np.array([[5, 0], [5, 7]])))
    assert column(layer, "parents") == {1: "", 6: "1"}
    assert column(layer, "state") == {1: "edited", 6: "new"}
    assert column(layer, "origin") == {1: "mine", 6: "mine"}
    rows.undo()
    assert len(layer.features) == 0
    rows.redo()
    assert column(layer, "parents") == {1: "", 6: "1"}


def test_a_merged_nucleus_names_what_it_took_up():
    layer = Labels(squares())
    rows = follow(layer)
    write(layer, merge(layer.data, [1, 2]))
    write(layer, merge(layer.data, [1, 5]))
    assert column(layer, "parents") == {1: "2 5"}
    rows.undo()
    assert column(layer, "parents") == {1: "2"}


def test_a_stroke_over_a_neighbour_makes_it_no_parent():
    layer = Labels(squares())
    rows = follow(layer)
    layer.data_setitem((np.array([2, 2]), np.array([8, 9])), np.array([1, 1]))
    assert rows.table()["parents"].to_dict() == {1: "", 2: ""}


def test_tools_can_sign_what_they_make():
    layer = Labels(squares(), metadata=MODEL)
    rows = follow(layer)
    with rows.made_by("box to nucleus"):
        layer.data_setitem((np.array([0]), np.array([20])), np.array([9]))
    layer.data_setitem((np.array([0]), np.array([22])), np.array([10]))
    assert column(layer, "origin") == {9: "box to nucleus", 10: "painted"}


def test_every_change_is_told_with_its_rows():
    layer = Labels(squares(), features={"index": [1, 2, 5], "score": [0.9, 0.8, 0.7]})
    rows, told = follow(layer), []
    rows.changed.connect(told.append)
    write(layer, delete(layer.data, [2]))
    rows.undo()
    rows.set_state([5], ACCEPTED)
    assert [change.gone for change in told] == [[2], [], []]
    assert [change.rows.index.tolist() for change in told] == [[], [2], [5]]
    assert [len(change.writes) for change in told] == [1, 1, 0]
    assert told[1].rows.at[2, "score"] == 0.8
    assert told[2].rows.at[5, "state"] == "accepted"


def test_a_table_put_there_by_others_is_followed():
    layer = Labels(squares(), features={"index": [1, 2, 5], "score": [0.9, 0.8, 0.7]})
    rows = follow(layer)
    rows.set_state([1], ACCEPTED)
    layer.features = {"index": [5, 1], "score": [0.3, 0.4], "kind": ["a", "b"]}
    rows.set_state([1], ACCEPTED)
    assert layer.features["index"].tolist() == [1, 5]
    assert column(layer, "kind") == {1: "b", 5: "a"}
    assert column(layer, "state") == {1: "accepted", 5: ""}


def test_undo_keeps_the_columns_of_a_table_put_there_by_others_meanwhile():
    layer = Labels(squares(), features={"index": [1, 2, 5], "score": [0.9, 0.8, 0.7]})
    rows = follow(layer)
    rows.set_state([2], ACCEPTED)
    layer.features = layer.features.assign(intensity=[10.0, 20.0, 50.0])
    rows.undo()
    assert column(layer, "state")[2] == ""
    assert column(layer, "intensity") == {1: 10, 2: 20, 5: 50}
    write(layer, delete(layer.data, [2]))
    layer.features = {"index": [1, 5], "intensity": [11.0, 55.0]}
    rows.undo()
    assert column(layer, "intensity") == {1: 11, 2: 20, 5: 55}, "as it was before"
    rows.redo()
    assert column(layer, "intensity") == {1: 11, 5: 55}


def test_an_acceptance_of_other_labels_is_not_undone():
    layer = Labels(squares())
    rows = follow(layer)
    rows.set_state([1], ACCEPTED)
    layer.data = squares()
    assert rows.undo() is None
    assert column(layer, "state")[1] == "accepted"


def test_thousands_of_nuclei_are_renumbered_at_once():
    order = np.random.default_rng(0).permutation(10_000) + 7
    layer = Labels(np.kron(order.reshape(100, 100), np.pad(np.ones((2, 2), int), 1)).astype(np.int32))
    rows = follow(layer)
    before = layer.data.copy()
    write(layer, relabel(before))
    assert len(layer.features) == 10_000
    assert column(layer, "parents")[1] == "7"
    rows.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_what_a_network_says_of_new_objects_is_noted_and_undone():
    layer = Labels(squares(), metadata=MODEL)
    rows = follow(layer)
    with rows.made_by("mine 0123"):
        layer.data_setitem((np.array([0, 0]), np.array([20, 21])), np.array([9, 9]))
    rows.describe(pd.DataFrame({"score": [0.75]}, index=pd.Index([9], name="index")))
    assert column(layer, "score")[9] == 0.75
    assert (column(layer, "state")[9], column(layer, "origin")[9]) == ("", "mine 0123")
    rows.undo()
    assert 9 not in column(layer, "state")
    rows.redo()
    assert column(layer, "score")[9] == 0.75


def test_edits_and_acceptances_are_undone_and_redone_exactly_and_told():
    layer = Labels(squares(), features={"index": [1, 2, 5], "score": [0.9, 0.8, 0.7]}, metadata=MODEL)
    rows, told = follow(layer), []
    rows.turned.connect(told.append)
    steps = (
        lambda: write(layer, split_by_line(layer.data, np.array([[5, 0], [5, 7]]))),
        lambda: rows.set_state([5], ACCEPTED),
        lambda: write(layer, merge(layer.data, [2, 5])),
        lambda: rows.set_state([6, 2], ACCEPTED),
        lambda: write(layer, delete(layer.data, [2])),
    )
    states = [(layer.data.copy(), rows.table())]
    for step in steps:
        step()
        states.append((layer.data.copy(), rows.table()))
    for turn, order in ((rows.undo, states[-2::-1]), (rows.redo, states[1:])) * 2:
        for pixels, table in order:
            turn()
            np.testing.assert_array_equal(layer.data, pixels)
            pd.testing.assert_frame_equal(rows.table().loc[table.index, table.columns], table, check_dtype=False)
        assert turn() is None
    assert [done.text for done in told[:5]] == [
        "nucleus 2 deleted",
        "nuclei 2, 6 accepted",
        "nucleus 5 deleted, nucleus 2 changed",
        "nucleus 5 accepted",
        "nucleus 6 added, nucleus 1 changed",
    ]
    assert told[0].box.tolist() == [[2, 15], [8, 15]], "first and last row, first and last column"


def test_a_change_of_classes_is_no_change_of_nuclei():
    layer = Labels(squares(), name="semantic", metadata={"napari-pffnet": {"content": "semantic"}})
    rows = follow(layer)
    layer.fill((4, 4), 2)
    assert rows.undo().text == "'semantic' painted"
