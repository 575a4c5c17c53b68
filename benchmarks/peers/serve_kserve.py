"""KServe: POST /v1/models/m:predict, base64 in JSON.  MODEL=FOLDER python serve_kserve.py --http_port N"""

import os
from base64 import b64decode
from typing import Any

import kserve
from picture import Predictor

PROCESSES = 2


class Classify(kserve.Model):
    def __init__(self) -> None:
        super().__init__("m")
        self._predict: Predictor | None = None  # made in each process: it cannot be sent to one
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        self._predict = self._predict or Predictor(os.environ["MODEL"])
        return {"predictions": self._predict([b64decode(i["b64"]) for i in payload["instances"]])}


if __name__ == "__main__":
    kserve.ModelServer(enable_grpc=False, workers=PROCESSES).start([Classify()])
