"""Fit the model."""

import shutil
from pathlib import Path

from . import artifact, contract, dataset, files, params


def run() -> None:
    """model.train on the training rows → model/, with the code that predicts with it."""
    model = contract.model()
    values = params.section("model", model.Params)
    fitted = model.train(dataset.read("train"), dataset.read("valid"), values)
    with files.replacing(files.MODEL) as folder:
        model.save(fitted, folder)
        # What predicts by other code is another model, to the gate and to the registry too.
        shutil.copyfile(Path(__file__).parent.with_name(artifact.CODE), folder / artifact.CODE)
    print(f"model: sha256 {files.digest(files.MODEL)[:12]}")
