"""Fit the model."""

import shutil
from pathlib import Path

from .. import contract, files, params
from ..data import dataset
from ..registry import loading


def run() -> None:
    """Train on the training rows and write model/, with the code that predicts with it."""
    model = contract.model()
    values = params.section("model", model.Params)
    fitted = model.train(dataset.read("train"), dataset.read("valid"), values)
    with files.replacing(files.MODEL) as folder:
        model.save(fitted, folder)
        # With other prediction code it is another model, for the gate and the registry too.
        shutil.copyfile(Path(__file__).parents[2] / loading.CODE, folder / loading.CODE)
    print(f"model: sha256 {files.digest(files.MODEL)[:12]}")
