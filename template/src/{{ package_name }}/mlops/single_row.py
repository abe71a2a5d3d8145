"""Fast LightGBM predictions for single rows.

`Booster.predict` parses its parameters and builds a predictor in every call, which takes longer
than walking the trees. The C API can do this once (the functions `…SingleRowFast` of
https://lightgbm.readthedocs.io/en/stable/C-API.html); the Python package does not expose them yet.
"""

import ctypes
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import lightgbm as lgb

NORMAL, FLOAT64 = 0, 1
"""C_API_PREDICT_NORMAL and C_API_DTYPE_FLOAT64 of LightGBM's c_api.h."""


def predictor(booster: "lgb.Booster") -> Callable[[Any], float]:
    """Return a function that predicts one row exactly as `booster.predict` does, bit for bit.

    It takes one number per feature of the booster, None or NaN for a missing one, and raises a
    ValueError for a row of another length. It is thread-safe: LightGBM locks its shared state.

    Raises:
        ValueError: the booster predicts more than one number per row.
        NotImplementedError: this LightGBM lacks the functions; the service then predicts tables.
    """
    # Private names of the Python package, so any release may rename them.
    try:
        from lightgbm.basic import _LIB, _safe_call  # type: ignore[attr-defined]

        handle, start = booster._handle, _LIB.LGBM_BoosterPredictForMatSingleRowFastInit
        # PyDLL holds Python's lock during the call: releasing and acquiring it would take longer.
        call = ctypes.PyDLL(_LIB._name).LGBM_BoosterPredictForMatSingleRowFast
        free = _LIB.LGBM_FastConfigFree
    except (ImportError, AttributeError) as error:
        raise NotImplementedError(f"no fast predictions of single rows: {error}") from error
    if booster.num_model_per_iteration() != 1:
        raise ValueError("the booster predicts more than one number per row: use its `predict`")
    features, config = booster.num_feature(), ctypes.c_void_p()
    _safe_call(
        start(
            handle,
            ctypes.c_int(NORMAL),
            ctypes.c_int(0),
            ctypes.c_int(booster.best_iteration),
            ctypes.c_int(FLOAT64),
            ctypes.c_int32(features),
            ctypes.c_char_p(b""),
            ctypes.byref(config),
        )
    )
    count = ctypes.byref(ctypes.c_int64())

    def predict(numbers: Any) -> float:
        row, result = np.asarray(numbers, float), ctypes.c_double()
        if row.size != features:
            raise ValueError(
                f"the row has {row.size} numbers, but the booster has {features} features"
            )
        _safe_call(call(config, row.tobytes(), count, ctypes.byref(result)))
        return result.value

    # The finalizer also keeps the booster alive as long as the function.
    weakref.finalize(predict, lambda config, _: free(config), config, booster)
    return predict
