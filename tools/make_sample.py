"""Make the embedded samples of MNIST and Fashion-MNIST from a data folder.

python -m tools.make_sample FOLDER
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from nsvae_lib.data import load
from nsvae_lib.files import SAMPLES


def make_sample(root: Path, target: Path = SAMPLES, n_train: int = 6_000, n_test: int = 2_000) -> None:
    """Write `<Name>.npz` and `sha256.json` into `target`: the first images of the fixed shuffled order."""
    target.mkdir(parents=True, exist_ok=True)
    hashes = {}
    for name in ("MNIST", "FashionMNIST"):
        data = load(name, root, sample=False, n_train=n_train, n_test=n_test)
        assert data.train_labels is not None and data.test_labels is not None
        path = target / f"{name}.npz"
        np.savez_compressed(
            path,
            train_x=data.train[:, 0].numpy(),
            train_y=data.train_labels.numpy().astype(np.uint8),
            test_x=data.test[:, 0].numpy(),
            test_y=data.test_labels.numpy().astype(np.uint8),
        )
        hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path}: {path.stat().st_size:,} bytes")
    (target / "sha256.json").write_text(json.dumps(hashes, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make_sample(Path(sys.argv[1]))
