from relu_shallow.lp.jit import COMPILED, PACKAGE, njit, stamp


def test_the_compiled_files_are_those_that_compile():
    own = {"lp/jit.py"}
    found = {
        path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if "import njit" in path.read_text()
    }
    assert found - own == set(COMPILED)
    assert not [path for path in PACKAGE.rglob("*.py") if "from numba import njit" in path.read_text()]


def test_a_change_in_any_compiled_file_leaves_every_cache_aside():
    from relu_shallow.explanation.shares import add_affine

    assert add_affine._cache._cache_file._source_stamp == stamp()


def test_compiled_code_is_kept_and_taken_from_the_cache_only_while_nothing_changed(tmp_path, monkeypatch):
    """A module calls a function of another; when only the other changes, the caller is compiled anew."""
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))

    def run(mark):
        monkeypatch.setattr("relu_shallow.lp.jit.stamp", lambda: mark)
        namespace = {}
        source = tmp_path / "caller.py"
        if not source.exists():
            source.write_text("def twice(x):\n    return 2 * x\n")
        exec(compile(source.read_text(), str(source), "exec"), namespace)
        function = njit(cache=True)(namespace["twice"])
        assert function(2) == 4
        return sum(function.stats.cache_hits.values())

    assert [run("a"), run("a"), run("b"), run("b")] == [0, 1, 0, 1]
