"""Hostile .pt, .pth and .pt2 files, each made by a function of the folder it is to lie in."""

import io
import json
import pickle
import struct
import zipfile

STORAGE = b"((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI4\ntQ"


def archive(path, members, compression=zipfile.ZIP_STORED):
    """A zip file as PyTorch lays it out."""
    with zipfile.ZipFile(path, "w", compression) as zipped:
        for name, data in members.items():
            zipped.writestr(f"m/{name}", data)
    return path


def saved(path, code, **members):
    """A PyTorch file with a pickle written by hand, and one storage of four numbers."""
    storages = {"data/0": struct.pack("<4f", 1, 2, 3, 4)}
    return archive(path, {"data.pkl": code, "version": "3\n", **storages, **members})


def calls(name):
    """A pickle that calls what the name says with the text 'marker'."""
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n(S'marker'\ntR.".encode()


CALLED = [
    "os.system",
    "posix.system",
    "nt.system",
    "subprocess.Popen",
    "subprocess.check_output",
    "os.execvp",
    "os.popen",
    "os.mkdir",
    "pty.spawn",
    "builtins.eval",
    "builtins.exec",
    "builtins.compile",
    "builtins.open",
    "builtins.__import__",
    "builtins.getattr",
    "io.open",
    "io.FileIO",
    "importlib.import_module",
    "runpy.run_path",
    "runpy._run_code",
    "code.InteractiveInterpreter",
    "timeit.timeit",
    "cProfile.run",
    "pdb.run",
    "bdb.Bdb",
    "doctest.debug_script",
    "trace.Trace",
    "ctypes.CDLL",
    "marshal.loads",
    "types.CodeType",
    "types.FunctionType",
    "functools.partial",
    "operator.attrgetter",
    "operator.methodcaller",
    "copyreg._reconstructor",
    "copyreg.__newobj__",
    "pickle.loads",
    "_pickle.loads",
    "dill.loads",
    "cloudpickle.loads",
    "joblib.load",
    "numpy.load",
    "pandas.read_pickle",
    "torch.load",
    "torch.serialization.load",
    "torch.hub.load",
    "torch.jit.load",
    "torch.storage._load_from_bytes",
    "torch.utils._config_module.load_config",
    "torch._dynamo.guards.GuardBuilder.get",
    "torch.from_file",
    "torch.jit.unsupported_tensor_ops.execWrapper",
    "torch.utils.bottleneck.__main__.run_cprofile",
    "torch.utils.cpp_extension.load_inline",
    "torch._inductor.codecache.compile_file",
    "torch.distributed.run.main",
    "numpy.testing._private.utils.runstring",
    "numpy.f2py.crackfortran.getlincoef",
    "numpy.distutils.exec_command",
    "pip.main",
    "pip._internal.main",
    "webbrowser.open",
    "http.client.HTTPSConnection",
    "socket.create_connection",
    "shutil.rmtree",
    "shutil.copyfile",
    "pathlib.Path.write_text",
    "tempfile.mktemp",
    "logging.config.listen",
    "asyncio.unix_events._UnixSubprocessTransport._start",
    "lib2to3.pgen2.grammar.Grammar.loads",
    "idlelib.run.Executive",
    "torch.Tensor",
    "torch.FloatStorage",
    "torch.FloatTensor",
    "builtins.bytearray",
    "builtins.bytes",
    "builtins.range",
    "builtins.map",
]


def nested_key(depth):
    """A tuple of the same tuple twice, and so on, as a key: its hash would take 2^depth steps."""
    return b"}K\x01\x85" + b"2\x86" * depth + b"K\x01s."


def rebuilt(shape, strides, offset=0):
    """A state_dict with one tensor of this shape and these strides over four numbers."""
    numbers = lambda values: b"(" + b"".join(b"L%dL\n" % v for v in values) + b"t"  # noqa: E731
    return (b"}V0.weight\nctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"I%d\n" % offset + numbers(shape)
            + numbers(strides) + b"I00\nNtRs.")  # fmt: skip


PICKLES = {
    "a memo index of four thousand million": b"\x80\x02]r\xfe\xff\xff\xff.",
    "a memo index written in digits": b"\x80\x02]p99999999999\n.",
    "a key that is hashed for ever": nested_key(60),
    "a key nested too deeply to be hashed": b"}K\x01" + b"\x85" * 300_000 + b"K\x01s.",
    "a set of tuples hashed for ever": b"\x80\x04\x8f(K\x01\x85" + b"2\x86" * 60 + b"\x90.",
    "lists nested without end": b"]" * 200_000 + b"a" * 199_999 + b".",
    "tuples that double": b"K\x01\x85" + b"2\x86" * 60 + b".",
    "a list that holds itself": b"]q\x00h\x00a.",
    "bytes of a length of a million million": b"\x80\x04\x8e\x00\x00\x00\x00\x00\x01\x00\x00.",
    "a byte array of that length": b"\x80\x05\x96\x00\x00\x00\x00\x00\x01\x00\x00.",
    "a frame of that length": b"\x80\x04\x95\x00\x00\x00\x00\x00\x01\x00\x00N.",
    "a registered extension": b"\x80\x02\x82\x01.",
    "an out-of-band buffer": b"\x80\x05\x97.",
    "a number of a million digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "a call by its protocol 4 name": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x06marker\x85R.",
    "a call of a nested name": b"\x80\x04\x8c\x02os\x8c\x0apath.isdir\x93\x8c\x06marker\x85R.",
    "a new object with arguments": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x06marker\x85}\x92.",
    "a class given a method": b"\x80\x02cacme\nM\nq\x00N}U\x08__init__cos\nsystem\ns\x86b0h\x00)\x81U\x06markerb.",
    "an attribute of a class replaced": b"\x80\x02cacme\nM\nq\x00N}U\x10__getattribute__ctorch\nSize\ns\x86bh\x00)"
    b"\x81.",
    "an ordered dict given methods": b"\x80\x02ccollections\nOrderedDict\n)RN}U\x05itemscos\nsystem\ns\x86b.",
    "a module that holds itself": b"\x80\x02ctorch.nn.modules.container\nSequential\n)\x81q\x00}U\x08_modules}U\x010"
    b"h\x00ssb.",
    "modules doubled forty times": b"\x80\x02ctorch.nn.modules.activation\nReLU\n)\x81q\x00"
    + b"ctorch.nn.modules.container\nSequential\n)\x81}U\x08_modules}(U\x01ah\x00U\x01bh\x00usbq\x00" * 40
    + b".",
    "modules that are numbers": b"\x80\x02ctorch.nn.modules.container\nSequential\n)\x81}U\x08_modulesK\x05sb.",
    "a weight that is text": b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81}U\x0b_parameters}U\x06weightU\x01xssb.",
    "strides of zero: 320 GB from 16 bytes": rebuilt((200_000, 200_000), (0, 0)),
    "strides of zero in 2 KB": rebuilt((10**11,), (0,)),
    "a shape beyond 64 bits": rebuilt((2**40, 2**40), (1, 1)),
    "a negative stride": rebuilt((2, 2), (-1, 1)),
    "an offset beyond the storage": rebuilt((2, 2), (2, 1), 10**12),
    "more strides than sizes": rebuilt((2,), (2, 1)),
    "no rows of a million million values": rebuilt((0, 10**12), (1, 1)),
}


def pickled(name):
    return lambda folder: saved(folder / "m.pt", PICKLES[name])


def called(name, ending):
    return lambda folder: saved(folder / f"m{ending}", calls(name))


def legacy(folder):
    """The layout before PyTorch 1.6, with a storage that claims 2^40 numbers."""
    table = rebuilt((2, 2), (2, 1))
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = pickle.dumps(["0"], 2) + struct.pack("<q", 1 << 40) + b"1234"
    (folder / "m.pt").write_bytes(b"".join(parts) + table + tail)
    return folder / "m.pt"


def legacy_call(folder):
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    (folder / "m.pth").write_bytes(b"".join(parts) + calls("os.system"))
    return folder / "m.pth"


BOMB = 100 << 20  # zeros, which 100 KB of zip hold


def bomb(folder, ending=".pt", name="data/0"):
    members = {"data.pkl": rebuilt((2, 2), (2, 1)), name: bytes(BOMB)}
    return archive(folder / f"m{ending}", members, zipfile.ZIP_DEFLATED)


def many_bombs(folder):
    """A hundred members of a megabyte each in a file of an eighth of one."""
    members = {"data.pkl": rebuilt((2, 2), (2, 1)), **{f"data/{i}": bytes(1 << 20) for i in range(100)}}
    return archive(folder / "m.pt", members, zipfile.ZIP_DEFLATED)


def lying_directory(folder, claimed=16):
    """A directory that gives a member of 100 MB a size of 16 bytes, in both places where a zip says it."""
    path = bomb(folder)
    data = bytearray(path.read_bytes())
    size, lie = struct.pack("<I", BOMB), struct.pack("<I", claimed)
    return path.write_bytes(bytes(data).replace(size, lie)) and path


def overlapping(folder):
    """Fifty members that are one and the same stream, as in the bombs that no ratio of one member gives away."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("m/data.pkl", rebuilt((2, 2), (2, 1)))
        zipped.writestr("m/data/0", bytes(1 << 20))
    data = whole.getvalue()
    start = data.rindex(b"PK\x01\x02")
    end = data.rindex(b"PK\x05\x06")
    entry, last = data[start:end], data[end:]
    directory = b"".join(entry.replace(b"m/data/0", b"m/data/%c" % (65 + i)) for i in range(50))
    first = data[data.index(b"PK\x01\x02") : start]
    body = data[: data.index(b"PK\x01\x02")]
    sizes = struct.pack("<HHII", 51, 51, len(first + directory), len(body))
    (folder / "m.pt").write_bytes(body + first + directory + last[:8] + sizes + last[20:])
    return folder / "m.pt"


def twice(folder):
    """Two members of one name: which of them is read depends on the reader."""
    with zipfile.ZipFile(folder / "m.pt", "w") as zipped:
        zipped.writestr("m/data.pkl", rebuilt((2, 2), (2, 1)))
        zipped.writestr("n/data.pkl", calls("os.system"))
        zipped.writestr("m/data/0", bytes(16))
    return folder / "m.pt"


def nameless(folder):
    """Found by scripts/fuzz.py: Python's zipfile looks at the last letter of each name."""
    path = archive(folder / "m.pt", {"data.pkl": rebuilt((2, 2), (2, 1)), "data/0": bytes(16)})
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    size = struct.unpack_from("<H", data, entry + 28)[0]
    struct.pack_into("<HH", data, entry + 28, 0, size)  # the name becomes an extra field of an unknown kind
    data[entry + 46 : entry + 46 + size] = struct.pack("<HH", 0x9999, size - 4) + bytes(size - 4)
    path.write_bytes(data)
    return path


def packed_otherwise(folder):
    return archive(folder / "m.pt", {"data.pkl": rebuilt((2, 2), (2, 1)), "data/0": bytes(16)}, zipfile.ZIP_LZMA)


CODE = """class M(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.M, x: Tensor) -> Tensor:
{}
"""
DOUBLING = "  def g0(self: __torch__.M, x: Tensor) -> Tensor:\n    return x\n" + "".join(
    f"  def g{i + 1}(self: __torch__.M, x: Tensor) -> Tensor:\n    _0 = (self).g{i}(x, )\n    return (self).g{i}(x, )\n"
    for i in range(34)
)
SCRIPTS = {
    "a forward that saves a tensor": "    _0 = ops.aten.save(x, 'marker')\n    return x",
    "a forward that maps a file": "    _0 = torch.from_file('marker', True, 10)\n    return torch.add(x, _0)",
    "a forward that opens a file": "    _0 = open('marker', 'w')\n    return x",
    "a forward that reads an attribute of attributes": "    _0 = self.__class__.__mro__\n    return x",
    "a forward that imports": "    import os\n    return x",
    "a forward without end": "    while True:\n      pass\n    return x",
    "a number squared again and again": "    a = 1000003\n" + "    a = torch.mul(a, a)\n" * 60 + "    return x",
    "a list repeated a million million times": "    a = torch.mul([0], 1000000000000)\n    return x",
    "a text repeated": "    a = torch.mul('a', 1000000000000)\n    return x",
    "lists added to themselves": "    a = [0, 1]\n" + "    a = torch.add(a, a)\n" * 60 + "    return x",
    "an expression nested too deeply": "    a = " + "-" * 50_000 + "1\n    return x",
    "parentheses nested too deeply": "    a = " + "(" * 50_000 + ")" * 50_000 + "\n    return x",
    "functions that call one another twice": "    return (self).g34(x, )\n" + DOUBLING,
    "a function that calls itself": "    return (self).forward(x, )",
    "attributes nested too deeply": "    a = self" + ".x" * 50_000 + "\n    return x",
}  # fmt: skip


def script(name):
    module = b"\x80\x02c__torch__\nM\n)\x81}U\x08training\x89sb."
    members = {"data.pkl": module, "constants.pkl": b"\x80\x02).", "code/__torch__.py": CODE.format(SCRIPTS[name])}
    return lambda folder: archive(folder / "m.pt", members)


def setstate(folder):
    """Code that torch.jit.load itself would run, before forward is called."""
    code = (
        CODE.format("    return x")
        + "  def __setstate__(self: __torch__.M, s: int) -> None:\n    while True:\n      pass\n"
    )
    module = b"\x80\x02c__torch__\nM\n)\x81K\x05b."
    return archive(folder / "m.pt", {"data.pkl": module, "constants.pkl": b"\x80\x02).", "code/__torch__.py": code})


def program(weight="w", sizes=(2, 3), strides=(3, 1), nodes=None, **changes):
    """The members of a .pt2 archive: one linear layer from three inputs to two outputs."""
    as_ints = lambda values: [{"as_int": value} for value in values]  # noqa: E731
    meta = {"dtype": 7, "sizes": as_ints(sizes), "strides": as_ints(strides), "storage_offset": {"as_int": 0}}
    tensor = lambda name: {"as_tensor": {"name": name}}  # noqa: E731
    node = {"target": "torch.ops.aten.linear.default", "outputs": [tensor("y")],
            "inputs": [{"name": "input", "arg": tensor("x")}, {"name": "weight", "arg": tensor("w")}]}  # fmt: skip
    graph = {"nodes": [node] if nodes is None else nodes, "tensor_values": {"x": {"sizes": as_ints((1, 3))}}}
    specs = [{"parameter": {"arg": {"name": "w"}, "parameter_name": "w"}}, {"user_input": {"arg": tensor("x")}}]
    module = {
        "graph": graph,
        "signature": {"input_specs": specs, "output_specs": [{"user_output": {"arg": tensor("y")}}]},
    }
    config = {"config": {"w": {"path_name": weight, "use_pickle": False, "tensor_meta": meta, **changes}}}
    return {"models/model.json": json.dumps({"graph_module": module}), "byteorder": "little",
            "data/weights/model_weights_config.json": json.dumps(config), "data/weights/w": bytes(24)}  # fmt: skip


def exported(*, change=None, **options):
    def make(folder):
        members = program(**options)
        if change:
            change(members)
        return archive(folder / "m.pt2", members)

    return make


def _pickled_weight(members):
    whole = io.BytesIO()
    archive(whole, {"data.pkl": calls("os.system"), "version": "3\n"})
    members["data/weights/w"] = whole.getvalue()


def _wide(members):
    sizes = '"sizes": [{"as_int": 1}, {"as_int": 3'
    members["models/model.json"] = members["models/model.json"].replace(sizes, sizes + "0" * 12)


def _deep(members):
    members["models/model.json"] = "[" * 100_000


PROGRAMS = {
    "strides of zero": exported(sizes=(200_000, 200_000), strides=(0, 0)),
    "a size beyond 64 bits": exported(sizes=(2**70, 3)),
    "a weight pickled with a call": exported(change=_pickled_weight, use_pickle=True),
    "a weight outside the archive": exported(weight="../../../../../../etc/passwd"),
    "an input of a million million values": exported(change=_wide),
    "JSON nested too deeply": exported(change=_deep),
    "a graph without nodes": exported(nodes=[]),
    "an operation that reads a file": exported(nodes=[{"target": "torch.ops.aten.from_file.default", "inputs": [
        {"name": "filename", "arg": {"as_string": "/etc/passwd"}}], "outputs": [{"as_tensor": {"name": "y"}}]}]),
    "an operation that is code": exported(nodes=[{"target": "os.system", "inputs": [
        {"name": "filename", "arg": {"as_string": "touch marker"}}], "outputs": [{"as_tensor": {"name": "y"}}]}]),
}  # fmt: skip

ARCHIVES = {
    **{f"a pickle that calls {name} in .pt": called(name, ".pt") for name in CALLED},
    "a pickle that calls os.system in .pth": called("os.system", ".pth"),
    "a pickle that calls os.system in .pt2": called("os.system", ".pt2"),
    "an old file that calls": legacy_call,
    "an old file with a storage of 2^40 numbers": legacy,
    **{f"a pickle with {name}": pickled(name) for name in PICKLES},
    "a member that unpacks to 100 MB": bomb,
    "a member of .pt2 that unpacks to 100 MB": lambda folder: bomb(folder, ".pt2", "models/model.json"),
    "many members that unpack to 100 MB": many_bombs,
    "a directory that lies about a size": lying_directory,
    "members that overlap": overlapping,
    "a member without a name": nameless,
    "two members of one name": twice,
    "a packing that PyTorch never uses": packed_otherwise,
    **{f"TorchScript: {name}": script(name) for name in SCRIPTS},
    "TorchScript: code that loading would run": setstate,
    **{f".pt2: {name}": make for name, make in PROGRAMS.items()},
}
