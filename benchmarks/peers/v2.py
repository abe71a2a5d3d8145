"""MLServer's runtime of the same model, as its documentation has it."""

import importlib
import os
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse

model = importlib.import_module(f"{os.environ['PACKAGE']}.model")


class Runtime(MLModel):
    """One model in the server's own process; rows come as columns of the protocol V2."""

    async def load(self) -> bool:
        """Load the model."""
        self.model = model.load(Path(os.environ["MODEL"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Give the predictions."""
        rows = PandasCodec.decode_request(payload)
        return PandasCodec.encode_response(self.name, model.predict(self.model, rows))
