"""LightGBM's way for one row: the trees alone, without what a table costs.

`Booster.predict` reads its parameters and makes a predictor at each call, which takes longer than
to walk the trees. The C API can do that once (the functions `…SingleRowFast` of
https://lightgbm.readthedocs.io/en/stable/C-API.html); the Python package does not offer it yet.
"""

import ctypes
import weakref
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
from lightgbm.basic import _LIB, _safe_call  # type: ignore[attr-defined]

NORMAL, FLOAT64 = 0, 1
"""C_API_PREDICT_NORMAL and C_API_DTYPE_FLOAT64 of LightGBM's c_api.h."""


def predictor(booster: lgb.Booster) -> Callable[[Any], float]:
    """Give a function that says of one row what `booster.predict` does, bit for bit.

    It takes the row's numbers, as many as the booster has features, None or NaN where one is
    missing. Any thread may call it: LightGBM locks what it keeps between calls.

    Raises:
        ValueError: the booster gives more than one number a row; later, the row has another length.
    """
    if booster.num_model_per_iteration() != 1:
        raise ValueError("the booster gives more than one number a row: ask it by `predict`")
    features, config = booster.num_feature(), ctypes.c_void_p()
    _safe_call(
        _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            ctypes.c_int(NORMAL),
            ctypes.c_int(0),
            ctypes.c_int(booster.best_iteration),
            ctypes.c_int(FLOAT64),
            ctypes.c_int32(features),
            ctypes.c_char_p(b""),
            ctypes.byref(config),
        )
    )
    # Called with Python's lock held: to give it away and to wait for it would take longer.
    call = ctypes.PyDLL(_LIB._name).LGBM_BoosterPredictForMatSingleRowFast
    count = ctypes.byref(ctypes.c_int64())

    def predict(numbers: Any) -> float:
        row, found = np.asarray(numbers, float), ctypes.c_double()
        if row.size != features:
            raise ValueError(f"a row of {row.size} numbers, and the booster has {features}")
        _safe_call(call(config, row.tobytes(), count, ctypes.byref(found)))
        return found.value

    # The booster lives as long as the function, which holds it here.
    weakref.finalize(predict, _free, config, booster)
    return predict


def _free(config: ctypes.c_void_p, booster: lgb.Booster) -> None:
    _LIB.LGBM_FastConfigFree(config)
