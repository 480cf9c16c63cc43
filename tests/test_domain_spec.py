"""Domains as the command line spells them."""

import numpy as np
import pytest
from conftest import data_path

from relu_shallow.domain import Box, WholeSpace
from relu_shallow.domain_spec import parse_domain
from relu_shallow.errors import DataError, DomainError, ReluShallowError
from relu_shallow.network import from_layers, named
from relu_shallow.vnnlib import input_box, read_input_box


def network(inputs=2, names=()):
    return named(from_layers([(np.ones((3, inputs)), np.zeros(3)), (np.ones((1, 3)), np.zeros(1))]), names)


def parse(spec, inputs=2, names=(), **options):
    return parse_domain(spec, network(inputs, names), read_options=options)


def bounds(spec, inputs=2, names=(), **options):
    domain, _ = parse(spec, inputs, names, **options)
    assert isinstance(domain, Box)
    return domain.lo.tolist(), domain.hi.tolist()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("age,height,ill\n30,1.5,0\n50,1.9,1\n40,1.2,0\n")
    return path


def test_all_is_the_whole_space():
    assert parse("all") == (WholeSpace(), ())


@pytest.mark.parametrize(("spec", "low", "high"), [("box:-1,1", -1, 1), ("box:-2.5e-1, .5", -0.25, 0.5),
                                                   ("box:3,3", 3, 3)])  # fmt: skip
def test_a_box_of_two_numbers_holds_for_every_input(spec, low, high):
    assert bounds(spec, 3) == ([low] * 3, [high] * 3)


def test_a_box_file_has_a_row_per_input(tmp_path):
    (tmp_path / "box.csv").write_text("name,hi,lo\nage,90,18\nheight,2.1,1\n")
    assert bounds(f"box:{tmp_path / 'box.csv'}") == ([18, 1], [90, 2.1])


def test_a_box_file_with_names_is_matched_by_them(tmp_path):
    (tmp_path / "box.csv").write_text("name,lo,hi\n Height,1,2.1\nage,18,90\n")
    assert bounds(f"box:{tmp_path / 'box.csv'}", names=("age", "height")) == ([18, 1], [90, 2.1])
    (tmp_path / "box.csv").write_text("lo,hi,name\n1,2.1,x1\n18,90,x0\n")
    assert bounds(f"box:{tmp_path / 'box.csv'}") == ([18, 1], [90, 2.1])


def test_a_box_file_names_the_inputs_of_a_nameless_network(tmp_path):
    (tmp_path / "box.csv").write_text("name,lo,hi\nage,18,90\nheight,1,2.1\n")
    assert parse(f"box:{tmp_path / 'box.csv'}")[1] == ("age", "height")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name,lo,hi\nage,0,1\nbmi,2,3\n", ("age", "height")),
        ("name,lo,hi\nage,0,1\nage,2,3\n", ("age", "height")),
        ("name,lo,hi\nage,0,1\nage,2,3\n", ()),
        ("name,lo,hi\nx1,0,1\nage,2,3\n", ()),
        ("name,lo,hi\nage,0,1\nheight,2,3\nill,0,1\n", ("age", "height")),
        ("lo,hi,mean\n0,1,0.5\n2,3,2.5\n", ()),
        ("name,lo,hi,unit\nage,0,1,y\nheight,2,3,m\n", ("age", "height")),
    ],
)
def test_a_box_file_with_a_column_of_something_else_is_refused(text, names, tmp_path):
    (tmp_path / "box.csv").write_text(text)
    with pytest.raises(DomainError, match="beside lo and hi"):
        parse(f"box:{tmp_path / 'box.csv'}", names=names)


def test_data_taken_by_position_is_announced(table):
    said = []
    parse_domain(f"data:{table}", network(2, ("a", "b")), read_options={"drop": ("ill",)}, announce=said.append)
    assert len(said) == 1
    assert "by position: 'age', 'height' as 'a', 'b'" in said[0]
    parse_domain(f"data:{table}", network(), read_options={"drop": ("ill",)}, announce=said.append)
    assert len(said) == 1


def test_data_gives_its_bounding_box_and_names_a_nameless_network(table):
    domain, names = parse(f"data:{table}", drop=("ill",))
    assert (domain.lo.tolist(), domain.hi.tolist()) == ([30, 1.2], [50, 1.9])
    assert names == ("age", "height")


def test_data_is_matched_by_name_where_the_network_has_names(table):
    domain, names = parse(f"data:{table}", names=("height", "age"))
    assert domain.lo.tolist() == [1.2, 30]
    assert names == ()


def test_data_without_a_header_gives_no_names(tmp_path):
    (tmp_path / "d.csv").write_text("1,2\n3,4\n")
    domain, names = parse(f"data:{tmp_path / 'd.csv'}", no_header=True)
    assert domain.hi.tolist() == [3, 4]
    assert names == ()


def test_a_ball_is_around_a_row_counted_from_0(table):
    low, high = bounds(f"ball:0.5@{table}:1", columns=("age", "height"))
    np.testing.assert_allclose(low, [49.5, 1.4])
    np.testing.assert_allclose(high, [50.5, 2.4])


@pytest.mark.parametrize(
    "spec",
    ["", "everything", "all:", "all:3", "box", "box:", "box:1", "box:1,2,3", "box:a,b", "box:nan,1", "box:0,inf",
     "box:2,1", "box:1_0,2_0", "box:no-such-file.csv",
     "ball:0.5", "ball:x@{}:0", "ball:0@{}:0", "ball:-1@{}:0", "ball:1@{}:3",
     "ball:1@{}:-1", "ball:1@{}", "vnnlib:", "vnnlib:no-such-file", "data:no-such-file.csv", "data:{}"],
)  # fmt: skip
def test_what_is_not_a_domain_is_refused(spec, table):
    with pytest.raises(ReluShallowError):
        parse(spec.format(table), **({"drop": ("ill",)} if spec.startswith("ball") else {}))


def test_the_refusal_lists_the_forms():
    with pytest.raises(DomainError, match=r"'cube'.*box:LO,HI.*vnnlib:FILE"):
        parse("cube")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "lo,hi\n", "lo,hi\n1\n", "lo,hi\n1,x\n", "lo,hi\n2,1\n",
                                  "lo,hi\n1,2\n3,4\n5,6\n", "lo,hi\nnan,1\n0,1\n", "lo,hi\n1,1_0\n0,1\n"])  # fmt: skip
def test_a_box_file_that_is_none_is_refused(text, tmp_path):
    (tmp_path / "box.csv").write_text(text)
    with pytest.raises(DomainError):
        parse(f"box:{tmp_path / 'box.csv'}")


def test_data_of_another_width_is_refused_with_the_way_out(table):
    with pytest.raises(DataError, match="--drop"):
        parse(f"data:{table}")


# --- VNN-LIB ----------------------------------------------------------------------------------------------------


def test_property_3_of_acas_xu_is_the_published_box():
    box = read_input_box(data_path("onnx/acasxu/prop_3.vnnlib"))
    assert box.lo.tolist() == [-0.303531156, -0.009549297, 0.493380324, 0.3, 0.3]
    assert box.hi.tolist() == [-0.298552812, 0.009549297, 0.5, 0.5, 0.5]


def test_property_4_of_acas_xu_fixes_the_third_input():
    box = read_input_box(data_path("onnx/acasxu/prop_4.vnnlib"))
    assert np.flatnonzero(box.lo == box.hi).tolist() == [2]
    assert (box.lo[2], box.lo[3], box.hi[4]) == (0.0, 0.318181818, 0.166666667)


def test_an_mnist_property_is_a_box_in_784_dimensions():
    domain, _ = parse(f"vnnlib:{data_path('onnx/mnist_fc/prop_0_0.03.vnnlib')}", inputs=784)
    assert domain.lo.shape == (784,)
    assert (domain.lo >= 0).all()
    assert (domain.hi - domain.lo).max() <= 0.06 + 1e-6


def test_several_bounds_on_one_input_are_all_kept():
    box = input_box(
        "(assert (<= X_0 5)) (assert (and (>= X_0 -1) (<= X_0 3))) (assert (<= 0.5 X_0)) ; (assert (<= X_0 1))"
    )
    assert (box.lo.tolist(), box.hi.tolist()) == ([0.5], [3])


def test_an_equality_and_a_spelled_out_minus_are_read():
    box = input_box("(declare-const X_0 Real)(assert (= X_0 (- 2.5)))")
    assert (box.lo.tolist(), box.hi.tolist()) == ([-2.5], [-2.5])


def test_what_is_said_of_outputs_is_left_out():
    box = input_box("(assert (<= X_0 1))(assert (>= X_0 0))(assert (or (and (>= Y_0 Y_1)) (and (>= Y_2 Y_1))))")
    assert box.hi.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(declare-const X_0 Real)(declare-const X_1 Real)(assert (<= X_0 1))(assert (>= X_0 0))(assert (<= X_1 1))",
         "X_1 has no lower bound"),
        ("(assert (>= X_0 0))", "X_0 has no upper bound"),
        ("(assert (or (and (<= X_0 1) (>= X_0 0)) (and (<= X_0 3) (>= X_0 2))))", "`or`"),
        ("(assert (<= X_0 X_1))", "not a bound on one input"),
        ("(assert (<= (+ X_0 X_1) 1))", "not a bound on one input"),
        ("(assert (<= X_0 1e999))", "not a bound on one input"),
        ("(assert (<= X_0 1)", "never closed"),
        ("(assert (<= X_0 1)))", "never opened"),
        ("(assert (<= X_0 1))(assert (>= X_0 2))", "empty"),
        ("(declare-const Y_0 Real)", "no input"),
        ("hello", "not a list of commands"),
        ("(" * 5000, "deep"),
        ("(assert (<= X_99999999999 1))", "X_0 has no lower bound"),
        ("", "no input"),
    ],
)  # fmt: skip
def test_a_property_that_is_no_box_is_refused_saying_why(text, why):
    with pytest.raises(DomainError, match=why):
        input_box(text)


BOX = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 0))"


@pytest.mark.parametrize(
    "more",
    ["(assert (<= X_0_0 0.1))", "(assert (<= X[0] 0.1))", "(assert (<= x_0 0.1))", "(assert (<= X_00 0.1))",
     "(assert false)", "(assert)", "(assert (and))", "(assert c)", "(define-fun c () Bool (<= X_0 0.1))",
     "(push)(assert (<= X_0 0.1))(pop)", "(push 1)", "(assert (<= X_0 0.1_0))", "(assert (<= Y_0 0.1_0))", "()",
     "(assert (! (<= X_0 0.1) :named a))", "(assert (AND (<= X_0 0.5) (>= X_0 0.1)))", "(declare-const X_0_1 Real)",
     "(assert ((<= X_0 0.1)))", "(assert X_0)", "(assert (<= X_0 nan))", "(assert (<= Y_0 X_0))", "(declare-const)"],
)  # fmt: skip
def test_what_is_not_understood_of_a_property_is_never_passed_over(more):
    assert input_box(BOX).hi.tolist() == [1]
    with pytest.raises(DomainError):
        input_box(BOX + more)


@pytest.mark.parametrize("more", ["(assert (or (and (<= X_0 0.5) (<= Y_0 1))))", "(assert (< X_0 0.5))",
                                  "(assert (> .5 X_0))",
                                  "(assert (<= X_0 +5e-1))", "(assert (<= |X_0| 0.5))"])  # fmt: skip
def test_an_or_of_one_box_and_strict_bounds_are_read(more):
    box = input_box("(set-logic QF_LRA)" + BOX + more + "(check-sat)")
    assert (box.lo.tolist(), box.hi.tolist()) == ([0], [0.5])
