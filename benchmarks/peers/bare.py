"""Time `Booster.predict` alone on a frame in memory: `python bare.py MODEL ROWS`.

MODEL is an MLflow model folder with LightGBM text files, each of which predicts; ROWS is a parquet
file. Prints wall-clock seconds and CPU seconds.
"""

import sys
import time
from pathlib import Path

import lightgbm as lgb
import pandas as pd
import yaml

model = Path(sys.argv[1])
flavor = yaml.safe_load((model / "MLmodel").read_text())["flavors"]["python_function"]
files = sorted((model / flavor["data"]).glob("*.txt"))
boosters = [lgb.Booster(model_file=file) for file in files]
frame = pd.read_parquet(sys.argv[2])
dtypes = dict.fromkeys(frame.select_dtypes("object"), "category")
frame = frame.astype(dtypes)
frames = [frame[booster.feature_name()] for booster in boosters]
clock, processors = time.perf_counter(), time.process_time()
for booster, each in zip(boosters, frames, strict=True):
    booster.predict(each)
print(time.perf_counter() - clock, time.process_time() - processors)
