"""Hostile data tables, boxes and properties, each made by a function of the folder it is to lie in."""

import numpy as np


def text(name, content):
    def make(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def array(header, data=b"", version=b"\x01\x00"):
    """A .npy file with a header of our own."""
    size = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
    return text("d.npy", b"\x93NUMPY" + version + size + header.encode("latin1") + data)


def described(shape, kind="'<f8'"):
    return f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n"


def parquet(columns):
    def make(folder):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), folder / "d.parquet")
        return folder / "d.parquet"

    return make


ZEROS = np.zeros(5 * 10**7, np.int8)
DATA = {
    "an .npy header of a million million": array(described((10**12, 2))),
    "an .npy header of no rows and a million million columns": array(described((0, 10**12))),
    "an .npy header of a million million rows without columns": array(described((10**12, 0))),
    "an .npy header beyond 64 bits": array(described((2**62, 2**62))),
    "an .npy header of negative size": array(described((-1, 2)), bytes(64)),
    "an .npy header of objects": array(described((1, 2), "'|O'"), b"cos\nsystem\n(S'touch marker'\ntR."),
    "an .npy header that is code": array("__import__('os').system('touch marker')\n"),
    "an .npy header nested too deeply": array("(" * 9000 + ")" * 9000 + "\n"),
    "an .npy header whose parenthesis never closes": array(described((2, 3), "'<i2'") + "(\n", bytes(12)),
    "an .npy header that wants parsing as of old, and lacks a key": array(
        described((2, 3), "'<i4'").replace("_", "\x7f"), bytes(24)
    ),
    "an .npy header of four thousand million bytes": text("d.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
    "an .npy header with a shape of digits": array(described(f"(1{'0' * 5000}, 2)")),
    "a CSV of one gigantic field": text("d.csv", "a,b\n" + "1" * 2_000_000 + ",2\n"),
    "a CSV whose header is one gigantic field": text("d.csv", "a" * 2_000_000 + ",b\n1,2\n"),
    "a CSV of a million columns": text("d.csv", ",".join(f"c{i}" for i in range(10**6)) + "\n1" + ",1" * 999_999),
    "a CSV of a million columns of one name": text("d.csv", "c," * 99_999 + "c\n" + "1," * 99_999 + "1\n"),
    "a CSV with a quote that never closes": text("d.csv", 'a,b\n"1,2\n' + "1,2\n" * 10_000),
    "a CSV with null characters": text("d.csv", b"a,b\n\0,\0\n"),
    "a CSV of escape codes": text("d.csv", "a\x1b[31m,b\x9b2J\n1,\x1b]0;owned\x07\n"),
    "a CSV of a number of a million digits": text("d.csv", "a,b\n" + "1" * 100_000 + ",x\n"),
    "a CSV whose names are formulas": text("d.csv", "=cmd|'/c calc'!A0,b\nx,2\n"),
    "a Parquet file of fifty million rows in a few bytes": parquet({"a": ZEROS, "b": ZEROS}),
    "a Parquet file cut short": text("d.parquet", b"PAR1" + bytes(40) + b"\xff\xff\xff\x7fPAR1"),
}  # fmt: skip

PROPERTIES = {
    "parentheses nested a million deep": "(" * 1_000_000,
    "parentheses nested deeply and closed": "(" * 100_000 + ")" * 100_000,
    "an input of a number of five thousand digits": f"(assert (<= X_{'9' * 5000} 1))",
    "an input beyond all that is bounded": "(declare-const X_999999999999999 Real)",
    "a bound of a million digits": f"(assert (<= X_0 {'9' * 1_000_000}))(assert (>= X_0 -1))",
    "a bound that is no number": "(assert (<= X_0 nan))(assert (>= X_0 -1))",
    "nothing in its assertion": "(assert ())",
    "a list where a name belongs": "(assert ((X_0) (1)))",
    "a million assertions of one unknown": "(assert (<= Z_0 1))" * 100_000,
    "an escape code": "(assert (<= \x1b[31mX_0 1))",
    "a long line": "(assert (<= X_0 (+ " + "1 " * 50_000 + ")))",
}
BOXES = {
    "a gigantic field": "lo,hi\n" + "1" * 2_000_000 + ",2\n",
    "a name that is an escape code": "name,lo,hi\n\x1b[31m,0,1\n",
    "a million columns": "lo,hi" + ",c" * 10**6 + "\n",
}
