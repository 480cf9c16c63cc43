"""Folders of regions in many small files, and what may happen to them."""

from __future__ import annotations

from relu_shallow.archive import read_archive, write_archive
from relu_shallow.regions.stream import stream_regions


def in_many_files(network, domain, path, each=60):
    """The complete folder of a search that was stopped after about so many regions, again and again."""
    folder = stream_regions(network, domain, path, max_regions=each)
    while not folder.complete:
        folder = stream_regions(network, domain, path, max_regions=each, resume=True)
    return folder


def files_of(path):
    """The files of regions, in the order of their names."""
    return sorted(file for file in path.glob("*-*.safetensors"))


def rewritten(file, arrays=None, **fields):
    """Writes a file anew with other arrays or JSON fields, its hash made right again."""
    old, about = read_archive(file)
    write_archive(file, old | (arrays or {}), about | fields)
