"""ONNX tensors kept in files beside the model: read from the model's own folder and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relu_shallow.errors import ModelError
from relu_shallow.load.reading import EXPANSION, ModelFile, most_bytes


@dataclass
class External:
    """The tensors that a file keeps in other files: each is read from the model's own folder, or refused."""

    file: ModelFile
    taken: int = 0  # bytes read so far

    def read(self, tensor: Any) -> bytes:
        """The bytes of one tensor; raises ModelError where its file is outside the model's folder or too short."""
        where = {entry.key: entry.value for entry in tensor.external_data}
        path = self._path(tensor.name, str(where.get("location", "")))
        try:
            start, whole = int(where.get("offset", 0)), path.stat().st_size
            length = int(where["length"]) if "length" in where else whole - start
            if not 0 <= start <= start + length <= whole:
                raise ValueError(f"bytes {start} to {start + length} of {whole}")
            if self.taken + length > most_bytes(self.file) + EXPANSION * whole:
                raise ValueError("its data is used again and again")
            with path.open("rb") as data:
                data.seek(start)
                self.taken += length
                return data.read(length)
        except (OSError, ValueError) as error:
            raise ModelError(f"tensor {tensor.name} of {self.file.name} could not be read from {path.name}: "
                             f"{error}") from error  # fmt: skip

    def _path(self, name: str, location: str) -> Path:
        """Where a tensor lies; a link that leads out of the folder is followed to see that it does, and refused."""
        folder = self.file.path.resolve().parent
        try:
            path = (folder / location).resolve()
        except (ValueError, OSError, RuntimeError) as error:  # a null character, a circle of links
            raise ModelError(f"{self.file.name} keeps the tensor {name} in {location!r}: {error}") from error
        if not path.is_relative_to(folder):
            raise ModelError(f"{self.file.name} keeps the tensor {name} in {location}, outside its own "
                             "folder; such a file is not opened. Put the data beside the model")  # fmt: skip
        if not path.is_file():
            raise ModelError(f"{self.file.name} keeps the tensor {name} in {location!r}, which is missing "
                             "from its folder; put that file beside the model")  # fmt: skip
        return path
