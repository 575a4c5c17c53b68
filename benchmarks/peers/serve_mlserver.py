"""MLServer: POST /classify, raw bytes by a custom handler.  MODEL=FOLDER python serve_mlserver.py PORT"""

import asyncio
import os
import sys

from fastapi import Request, Response
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.handlers import custom_handler
from picture import Predictor


class Classify(MLModel):
    async def load(self) -> bool:
        self._predict = Predictor(os.environ["MODEL"])
        return True

    @custom_handler(rest_path="/classify")
    async def classify(self, request: Request) -> Response:
        [row] = self._predict([await request.body()])
        return Response(content=str(row), media_type="application/json")


async def main() -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=int(sys.argv[1]),
        grpc_port=int(sys.argv[1]) + 1,
        metrics_endpoint=None,
        parallel_workers=0,  # custom handlers run in the server's own process whatever is said here
        debug=False,
    )
    model = ModelSettings(name="m", implementation=Classify)
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(main())
