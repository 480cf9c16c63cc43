import json
import math

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, write_onnx

from relu_shallow.data import DataTable, frame_table, match_columns, position_note, read_table, write_table
from relu_shallow.errors import DataError, MissingExtra, OutputError
from relu_shallow.naming import named_by
from relu_shallow.network import from_layers, named


@pytest.fixture
def saved(tmp_path):
    def save(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return save


TABLE = "age,bmi,sick\n50,33.6,1\n31,26.6,0\n"


def test_a_csv_file_gives_its_names_and_numbers(saved):
    table = read_table(saved(TABLE))
    assert table.names == ("age", "bmi", "sick")
    np.testing.assert_array_equal(table.X, [[50, 33.6, 1], [31, 26.6, 0]])


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + TABLE.encode(),
        TABLE.replace("\n", "\r\n"),
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", " , "),
        TABLE + "\n\n",
        TABLE.replace("age", '"age"').replace("50", '"50"'),
    ],
    ids=["byte order mark", "CRLF", "semicolons", "tabs", "spaces", "blank lines at the end", "quotes"],
)
def test_the_ways_in_which_csv_is_written_make_no_difference(saved, content):
    table = read_table(saved(content))
    assert table.names == ("age", "bmi", "sick")
    np.testing.assert_array_equal(table.X, [[50, 33.6, 1], [31, 26.6, 0]])


def test_a_quoted_name_may_hold_the_separator(saved):
    assert read_table(saved('"age, years",bmi\n1,2\n')).names == ("age, years", "bmi")


def test_numbers_are_read_to_the_last_bit(saved):
    values = np.random.default_rng(0).normal(size=50) * 10.0 ** np.arange(-25, 25)
    table = read_table(saved("x\n" + "\n".join(repr(float(v)) for v in values) + "\n"))
    np.testing.assert_array_equal(table.X[:, 0], values)


def test_a_target_is_dropped_and_columns_are_chosen_by_name(saved):
    path = saved(TABLE)
    assert read_table(path, drop=("sick",)).names == ("age", "bmi")
    chosen = read_table(path, columns=("bmi", "age"))
    assert chosen.names == ("bmi", "age")
    np.testing.assert_array_equal(chosen.X, [[33.6, 50], [26.6, 31]])


def test_without_a_header_columns_are_called_by_their_numbers(saved):
    table = read_table(saved("1,2,9\n3,4,9\n"), no_header=True, drop=("2",))
    np.testing.assert_array_equal(match_columns(table, ("a", "b")), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    "first",
    [
        "1,nan,3",
        "1,,3",
        "nan,inf,nan",
        "0x10,a,b",
        "1_0,a,b",
        "\u22121,a,b",
        "M,1,2",
        "a,,b",
        '"1,5",a,b',
        "2019,2020,2021",
    ],
)
def test_a_first_line_that_may_be_data_is_never_lost_as_names(saved, first):
    with pytest.raises(DataError, match=r"seems to have no header.*--no-header"):
        read_table(saved(f"{first}\n4,5,6\n"))


INDEXED = ",a,b\n0,1.5,2\n1,3,4\n"


def test_the_index_that_pandas_writes_is_a_column_that_can_be_dropped(saved):
    path = saved(INDEXED)
    assert read_table(path).names == ("Unnamed: 0", "a", "b")
    assert read_table(path, drop=["Unnamed: 0"]).names == ("a", "b")
    assert match_columns(read_table(path), ("a", "b")).tolist() == [[1.5, 2], [3, 4]]  # by name it is not asked for


@pytest.mark.parametrize("features", [("x0", "x1"), ("x0", "x1", "x2"), ("u", "v", "w"), ("x0", "x1", "x2", "x3")])
def test_the_index_that_pandas_writes_is_never_read_as_a_feature(saved, features):
    table = read_table(saved(INDEXED))
    network = from_layers([(np.ones((1, len(features))), np.zeros(1))])
    for names in (features, named_by(named(network, features), table).feature_names):
        with pytest.raises(DataError, match=r"index that pandas writes.*--drop 'Unnamed: 0'"):
            match_columns(table, names)


def test_pandas_itself_calls_it_so(saved):
    pandas = pytest.importorskip("pandas")
    path = saved("")
    pandas.DataFrame({"a": [1.5, 3.0], "b": [2.0, 4.0]}).to_csv(path)
    assert read_table(path).names == tuple(pandas.read_csv(path).columns)


@pytest.mark.parametrize("command", [("explain",), ("predict",), ("radius",), ("effects", "--feature", "1")], ids=str)
def test_commands_refuse_the_index_in_a_sentence_and_take_the_table_without_it(saved, tmp_path, command):
    data, model = saved(INDEXED), write_onnx(tmp_path / "m.onnx", random_layers(2, 3, 2))
    three = write_onnx(tmp_path / "three.onnx", random_layers(3, 3, 2))
    assert run("convert", model, "--domain", "box:-9,9", "-o", tmp_path / "m").exit_code == 0
    assert run("convert", three, "--domain", "box:-9,9", "-o", tmp_path / "three").exit_code == 0
    name, *words = command
    for network in ("m", "three"):
        refused = run(name, tmp_path / network, data, *words)
        assert refused.exit_code == 2
        told = [line for line in refused.stderr.splitlines() if "compiling" not in line]
        one_sentence("\n".join(told), "--drop 'Unnamed: 0'")
    done = run(name, tmp_path / "m", data, *words, "--drop", "Unnamed: 0")
    assert done.exit_code == 0, done.stderr


def test_names_that_hold_digits_or_number_words_are_names(saved):
    names = ("2h_glucose", "Na", "e5", "info", "1stFlr", "0xen")
    assert read_table(saved(",".join(names) + "\n1,2,3,4,5,6\n")).names == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2\n3,4\n", "no header.*--no-header"),
        ("", "empty"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n", "row 1 .*has 1 cells, not 2"),
        ("a,a\n1,2\n", "more than one column called 'a'"),
        ('a,b\n"1,2\n', "not a readable CSV"),
        (b"a,b\n\xff,1\n", "not UTF-8"),
        (b"a,b\n1,\x00\n", "row 0 .*column 'b'"),
    ],
)
def test_a_damaged_csv_file_is_one_clear_error(saved, content, message):
    with pytest.raises(DataError, match=message):
        assert read_table(saved(content)).X is None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("tall", "row 1 .*column 'bmi', holds 'tall'"),
        ("", "row 1 .*column 'bmi', is empty"),
        ("nan", "row 1 .*column 'bmi', holds 'nan'"),
        ("-inf", "row 1 .*column 'bmi', holds '-inf'"),
        ("1e999", "row 1 .*column 'bmi', holds '1e999'"),
        ("1_000", "row 1 .*column 'bmi', holds '1_000'"),
    ],
)
def test_a_cell_that_is_no_finite_number_is_named_by_row_and_column(saved, cell, message):
    table = read_table(saved(f"age,bmi\n1,2\n3,{cell}\n5,six\n"))
    with pytest.raises(DataError, match=message):
        assert table.X is None
    with pytest.raises(DataError, match=message):
        match_columns(table, ("age", "bmi"))


def test_a_decimal_comma_is_text_and_not_two_numbers(saved):
    with pytest.raises(DataError, match=r"row 0 .*holds '1,5'"):
        assert read_table(saved("a;b\n1,5;2\n")).X is None


def test_text_in_a_column_that_nobody_asks_for_does_no_harm(saved):
    path = saved("name,age\nAda,36\nAlan,41\n")
    np.testing.assert_array_equal(match_columns(read_table(path), ("age",)), [[36], [41]])
    np.testing.assert_array_equal(read_table(path, drop=("name",)).X, [[36], [41]])


def test_columns_are_matched_by_name_in_the_networks_order():
    table = DataTable(("b", "other", "a"), np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(match_columns(table, ("a", "b")), [[3.0, 1.0]])


def test_columns_of_other_names_are_matched_by_position():
    table = DataTable(("age", "bmi"), np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(match_columns(table, ("x0", "x1")), [[1.0, 2.0]])


def test_a_column_of_a_known_name_is_never_read_as_another_feature():
    table = DataTable(("b", "a", "spare"), np.ones((1, 3)))
    with pytest.raises(DataError, match=r"lacks 'c'.*'b', 'a' would be read as another feature"):
        match_columns(table, ("a", "b", "c"))


def test_capitals_and_blanks_make_no_other_name():
    table = DataTable((" BMI", "Age"), np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(match_columns(table, ("age", "bmi")), [[2.0, 1.0]])
    np.testing.assert_array_equal(match_columns(DataTable(("X1", "X0"), table.values), ("x0", "x1")), [[2.0, 1.0]])


def test_two_columns_that_differ_in_capitals_only_are_no_match_for_one_name():
    with pytest.raises(DataError, match="lacks"):
        match_columns(DataTable(("Age", "AGE"), np.ones((1, 2))), ("age", "bmi"))
    exact = DataTable(("Age", "AGE", "age"), np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(match_columns(exact, ("age",)), [[3.0]])


def test_columns_of_which_some_have_names_of_features_are_refused():
    with pytest.raises(DataError, match="lacks 'bmi'"):
        match_columns(DataTable(("age", "weight"), np.ones((1, 2))), ("age", "bmi"))


def test_named_columns_taken_by_position_are_noted():
    other = DataTable(("height", "weight"), np.ones((1, 2)))
    assert "by position: 'height', 'weight' as 'age', 'bmi'" in position_note(other, ("age", "bmi"))
    assert position_note(other, ("x0", "x1")) == ""  # the network has no names
    assert position_note(other, ("Weight", "Height")) == ""
    assert position_note(other, ("height", "bmi")) == ""  # refused, like another number of columns
    assert position_note(other, ("age", "bmi", "sugar")) == ""
    assert position_note(DataTable(("0", "1"), other.values, named=False), ("age", "bmi")) == ""


def test_a_column_is_taken_once(saved):
    with pytest.raises(DataError, match="'age' more than once"):
        read_table(saved(TABLE), columns=("age", "bmi", "age"))


def test_a_grouped_number_among_cells_of_other_types_is_no_number():
    import pandas as pd

    with pytest.raises(DataError, match=r"row 1 .*holds '1_0'"):
        assert frame_table(pd.DataFrame({"a": [1, "1_0"]})).X is None


def test_numbered_columns_are_not_taken_for_names():
    table = DataTable(("0", "1", "2"), np.array([[1.0, 2.0, 3.0]]), named=False)
    with pytest.raises(DataError, match="3 columns but the network takes 2"):
        match_columns(table, ("0", "1"))


def test_missing_columns_are_listed_by_name():
    with pytest.raises(DataError, match="lacks 'bmi', 'sugar'"):
        match_columns(DataTable(("age",), np.ones((1, 1))), ("age", "bmi", "sugar"))


@pytest.mark.parametrize("option", ["columns", "drop"])
def test_an_unknown_column_is_an_error_that_lists_the_columns(saved, option):
    with pytest.raises(DataError, match=f"--{option}: there is no column 'seek'; the columns are 'age', 'bmi', 'sick'"):
        read_table(saved(TABLE), **{option: ("seek",)})


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_table(tmp_path / "nowhere.csv")


def test_an_unknown_ending_lists_the_known_ones(saved):
    with pytest.raises(DataError, match=r"supported: \.csv, \.tsv, \.parquet, \.npy"):
        read_table(saved(TABLE, "table.xlsx"))


# --- .npy


def test_an_array_is_a_table_matched_by_position(tmp_path):
    np.save(tmp_path / "X.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    table = read_table(tmp_path / "X.npy")
    np.testing.assert_array_equal(match_columns(table, ("a", "b", "c")), [[0, 1, 2], [3, 4, 5]])


def test_an_array_of_objects_is_refused_unread(tmp_path):
    np.save(tmp_path / "X.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"not a readable .npy file"):
        read_table(tmp_path / "X.npy")


def test_a_pickle_named_npy_is_refused_unread(saved):
    with pytest.raises(DataError, match=r"not a readable .npy file"):
        read_table(saved(b"cos\nsystem\n(S'false'\ntR.", "X.npy"))


@pytest.mark.parametrize("shape", [(10**12, 1), (10**6, 10**6), (10**40, 1), (-1, 2)])
def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path, shape):
    path = tmp_path / "X.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
        stream.write(bytes(64))
    with pytest.raises(DataError, match=r"not a readable .npy file|holds no rows"):
        read_table(path)


@pytest.mark.parametrize(
    "array", [np.ones(3), np.ones((1, 1), complex), np.array([["a"]])], ids=["1-d", "complex", "text"]
)
def test_an_array_that_is_no_table_of_numbers_is_refused(tmp_path, array):
    np.save(tmp_path / "X.npy", array)
    with pytest.raises(DataError, match="needs rows and columns of real numbers"):
        read_table(tmp_path / "X.npy")


def test_nan_in_an_array_is_named_by_row_and_column(tmp_path):
    np.save(tmp_path / "X.npy", np.array([[1.0, 2.0], [3.0, math.nan]]))
    with pytest.raises(DataError, match=r"row 1 .*column '1'"):
        assert read_table(tmp_path / "X.npy").X is None


# --- Parquet and frames


def test_parquet_keeps_names_and_numbers_and_names_what_is_no_number(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = {"age": [50, 31], "bmi": [33.6, None], "name": ["Ada", "Alan"], "ok": [True, False]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    np.testing.assert_array_equal(match_columns(table, ("ok", "age")), [[1, 50], [0, 31]])
    with pytest.raises(DataError, match=r"row 1 .*column 'bmi', is empty"):
        match_columns(table, ("age", "bmi"))
    with pytest.raises(DataError, match=r"row 0 .*column 'name', holds 'Ada'"):
        match_columns(table, ("age", "name"))


def test_a_damaged_parquet_file_is_one_clear_error(saved):
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_table(saved(b"PAR1 not really", "t.parquet"))


def test_parquet_without_its_package_says_what_to_install(saved, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"relu-shallow\[parquet\]"):
        read_table(saved(b"", "t.parquet"))
    with pytest.raises(MissingExtra, match=r"relu-shallow\[parquet\]"):
        write_table(tmp_path / "out.parquet", ["a"], [[1]])
    assert not (tmp_path / "out.parquet").exists()


def test_a_data_frame_is_matched_by_its_column_names():
    import pandas as pd

    frame = pd.DataFrame({"b": [1, 2], "text": ["x", "y"], "a": [3.5, 4.5]})
    np.testing.assert_array_equal(match_columns(frame_table(frame), ("a", "b")), [[3.5, 1], [4.5, 2]])


# --- writing


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_written_is_the_table_read(tmp_path, ending):
    X = np.random.default_rng(1).normal(size=(20, 3))
    names = ("a", "b, c", "Ä")
    write_table(tmp_path / f"t{ending}", names, list(X.T))
    table = read_table(tmp_path / f"t{ending}")
    assert table.names == names
    np.testing.assert_array_equal(table.X, X)


def test_json_and_npz_hold_the_same_columns(tmp_path):
    names, columns = ["row", "a/b", "status"], [np.arange(2), np.array([0.5, math.inf]), np.array(["x", "y"])]
    write_table(tmp_path / "t.json", names, columns)
    assert json.loads((tmp_path / "t.json").read_text()) == [
        {"row": 0, "a/b": 0.5, "status": "x"},
        {"row": 1, "a/b": None, "status": "y"},
    ]
    write_table(tmp_path / "t.npz", names, columns)
    with np.load(tmp_path / "t.npz", allow_pickle=False) as stored:
        assert set(stored.files) == set(names)
        np.testing.assert_array_equal(stored["a/b"], columns[1])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1"])
def test_text_that_a_spreadsheet_would_run_is_neutralised_and_numbers_are_not(tmp_path, text):
    write_table(tmp_path / "t.csv", [text, "n"], [[text], [-1.5]])
    import csv

    harmless = "'" + text.replace("\r", " ")
    with (tmp_path / "t.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [[harmless, "n"], [harmless, "-1.5"]]


def test_an_unknown_ending_of_an_output_lists_the_known_ones(tmp_path):
    with pytest.raises(OutputError, match=r"\.csv, \.parquet, \.json, \.npz"):
        write_table(tmp_path / "t.xlsx", ["a"], [[1]])


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        write_table(path, ["a", "b"], [[1, 2], [3]])
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_columns_to_drop_need_not_be_there_where_they_are_spare(tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    assert read_table(tmp_path / "data.csv", drop=["b", "target"], spare=True).names == ("a",)
    with pytest.raises(DataError, match="there is no column 'target'"):
        read_table(tmp_path / "data.csv", drop=["target"])
