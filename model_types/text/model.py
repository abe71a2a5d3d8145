"""Fit, predict and explain: gradient-boosted trees on hashed character n-grams."""

import html
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import lightgbm as lgb
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from .mlops import single_row
from .schema import METHODS, Features

INPUTS = list(Features.to_schema().columns)
LABEL = "attack"
# Number of hash buckets for the n-grams of each text. A fitted model requires the same numbers.
BUCKETS = {"path": 2**10, "query": 2**11, "body": 2**11, "user_agent": 2**9}
WIDTHS = {name: BUCKETS.get(name, 1) for name in INPUTS}
NGRAMS = (1, 3)
# MurmurHash3 assigns the same buckets in every process.
HASHING = {
    name: HashingVectorizer(
        analyzer="char", ngram_range=NGRAMS, n_features=buckets, lowercase=False,
        norm=None, alternate_sign=False, binary=True,
    )
    for name, buckets in BUCKETS.items()
}  # fmt: skip
LIMIT = 2**16
"""Number of characters read from a text; firewalls also limit how much they read of a body."""
ROUNDS = 3
"""Number of times that an encoded text is decoded, at most."""


class Params(BaseModel):
    """The section `model` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    learning_rate: float = Field(gt=0, le=1)
    num_leaves: int = Field(ge=2, le=4096)
    min_data_in_leaf: int = Field(ge=1)
    feature_fraction: float = Field(gt=0, le=1)
    benign_every: int = Field(ge=1)
    """Fit on one of this many benign rows, and give it the weight of all of them."""
    rounds: int = Field(ge=1)
    patience: int = Field(ge=1)
    seed: int


def train(train: pd.DataFrame, valid: pd.DataFrame, params: Params) -> lgb.Booster:
    """Fit on `train` until `valid` has not improved for `patience` rounds."""
    every = params.benign_every
    rows = train[train[LABEL] | (np.arange(len(train)) % every == 0)]
    weights = np.where(rows[LABEL], 1, every)
    fitting = lgb.Dataset(_inputs(rows), rows[LABEL], weight=weights, free_raw_data=False)
    return lgb.train(
        {
            "objective": "binary",
            "metric": "binary_logloss",
            "verbosity": -1,
            # Reproducible: the same rows give the same bytes on any machine.
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,  # two threads mostly wait for each other on a busy machine
            **params.model_dump(exclude={"rounds", "patience", "benign_every"}),
        },
        fitting,
        num_boost_round=params.rounds,
        valid_sets=[fitting.create_valid(_inputs(valid), valid[LABEL])],
        callbacks=[lgb.early_stopping(params.patience), lgb.log_evaluation(50)],
    )


def predict(model: lgb.Booster, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the probability of an attack; a missing text counts as an empty one."""
    probability = model.predict(_inputs(rows)) if len(rows) else np.empty(0)
    return pd.DataFrame({"probability": np.asarray(probability)}, index=rows.index)


def row_predictor(model: lgb.Booster) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a function that predicts one row as `predict` would, in a fraction of the time."""
    widths = [WIDTHS[name] for name in INPUTS]
    probability = single_row.predictor(model)
    starts = dict(zip(INPUTS, np.cumsum([0, *widths]).tolist(), strict=False))

    def predict_row(row: Mapping[str, Any]) -> dict[str, Any]:
        inputs = np.zeros(sum(widths))
        for name, start in starts.items():
            if name in BUCKETS:
                inputs[start + HASHING[name].transform([normalise(row[name])]).indices] = 1
            elif name == "method":
                inputs[start] = METHODS.index(row[name]) if row[name] in METHODS else -1
            else:
                inputs[start] = np.nan if row[name] is None else row[name]
        return {"probability": probability(inputs)}

    return predict_row


def explain(model: lgb.Booster, rows: pd.DataFrame) -> pd.DataFrame:
    """Return each input's contribution to the log-odds: exact TreeSHAP, summed over n-grams."""
    summed = np.zeros((len(rows), len(INPUTS)))
    if len(rows):
        columns = sparse.csc_matrix(model.predict(_inputs(rows), pred_contrib=True))
        ends = np.cumsum([WIDTHS[name] for name in INPUTS])
        for place, name in enumerate(INPUTS):
            part = columns[:, ends[place] - WIDTHS[name] : ends[place]]
            summed[:, place] = np.asarray(part.sum(axis=1)).ravel()
    return pd.DataFrame(summed, index=rows.index, columns=INPUTS)


def save(model: lgb.Booster, folder: Path) -> None:
    """Write the model in LightGBM's text format."""
    model.save_model(folder / "model.txt", num_iteration=model.best_iteration)


def load(folder: Path) -> lgb.Booster:
    """Read a model that `save` wrote."""
    return lgb.Booster(model_file=folder / "model.txt")


def normalise(text: object) -> str:
    """Return the decoded text in lowercase, at most LIMIT characters.

    Bytes that are not UTF-8 become U+FFFD, a missing text becomes "".
    """
    if not isinstance(text, str):
        return ""
    # Replace lone surrogates, which cannot be encoded.
    plain = text[:LIMIT].encode("utf-8", "replace").decode()
    for _ in range(ROUNDS):
        decoded = html.unescape(unquote_plus(plain))
        if decoded == plain:
            break
        plain = decoded
    return unicodedata.normalize("NFKC", plain).lower()[:LIMIT]  # NFKC may turn 1 character into 18


def _inputs(rows: pd.DataFrame) -> sparse.csr_matrix:
    """Return one column per number and one per bucket of each text, in the order of INPUTS."""
    return sparse.hstack([_columns(rows[name]) for name in INPUTS], format="csr", dtype=np.float64)


def _columns(values: pd.Series) -> sparse.csr_matrix:
    name = str(values.name)
    if name == "method":
        return sparse.csr_matrix(pd.Categorical(values, METHODS).codes[:, None])
    if name not in BUCKETS:
        return sparse.csr_matrix(values.astype(float).to_numpy()[:, None])
    # Hash each distinct text once.
    places, texts = pd.factorize(values.map(normalise))
    return HASHING[name].transform(texts)[places]
