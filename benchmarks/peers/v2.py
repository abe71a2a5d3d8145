"""An MLServer runtime with the same model, written as in MLServer's documentation."""

import importlib
import os
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse

model = importlib.import_module(f"{os.environ['PACKAGE']}.model")


class Runtime(MLModel):
    """A model in the server's own process; rows are sent as columns of the V2 protocol."""

    async def load(self) -> bool:
        """Load the model."""
        self.model = model.load(Path(os.environ["MODEL"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the predictions."""
        rows = PandasCodec.decode_request(payload)
        return PandasCodec.encode_response(self.name, model.predict(self.model, rows))
