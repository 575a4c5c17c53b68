"""LitServe: POST /predict, base64 in JSON, for it takes no raw bytes.

MODEL=FOLDER python serve_litserve.py PORT
"""

import os
import sys
from base64 import b64decode
from typing import Any

import litserve
from picture import Predictor

PROCESSES = 2


class Classify(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self._predict = Predictor(os.environ["MODEL"])

    def decode_request(self, request: dict[str, Any]) -> bytes:
        return b64decode(request["b64"])

    def predict(self, body: bytes) -> list[float]:
        return self._predict([body])[0]

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        return {"prediction": output}


if __name__ == "__main__":
    server = litserve.LitServer(Classify(), accelerator="cpu", devices=1, workers_per_device=PROCESSES)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
