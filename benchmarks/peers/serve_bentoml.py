"""BentoML: POST /classify, raw bytes.  MODEL=FOLDER bentoml serve serve_bentoml:Classify"""

import os
from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from picture import Predictor


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Classify:
    def __init__(self) -> None:
        self._predict = Predictor(os.environ["MODEL"])

    @bentoml.api
    def classify(self, body: Annotated[Path, ContentType("image/png")], /) -> list[float]:
        return self._predict([body.read_bytes()])[0]
