"""Fit the model."""

from . import contract, dataset, files, params


def run() -> None:
    """model.train on the training rows → model/."""
    model = contract.model()
    values = params.section("model", model.Params)
    fitted = model.train(dataset.read("train"), dataset.read("valid"), values)
    with files.replacing(files.MODEL) as folder:
        model.save(fitted, folder)
    print(f"model: sha256 {files.digest(files.MODEL)[:12]}")
