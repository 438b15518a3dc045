"""Files of tensors with a JSON description: safetensors, never pickles; written whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """A temporary file to write to, which becomes `path` at the end; nothing of it stays after an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_safetensors(path: str | Path, tensors: dict[str, Tensor], kind: str, description: dict[str, Any]) -> None:
    """Write tensors and a JSON description into one file, whole or not at all."""
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    # One entry, since safetensors writes several in random order and equal models should be equal files.
    metadata = {"nsvae": json.dumps({"format": kind} | description)}
    with write_whole(path) as temporary:
        # safetensors makes files that only their owner may read; a file opened first keeps its permissions.
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(contiguous, temporary, metadata=metadata)
        temporary.chmod(mode)


def read_safetensors(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and JSON description of a file that `write_safetensors` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, cut off, or not of this kind.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {}).get("nsvae", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or cut off ({error})") from error
    if description.get("format") != kind:
        raise ValueError(f"{path}: expected a file of kind {kind!r}, got {description.get('format')!r}")
    return tensors, description
