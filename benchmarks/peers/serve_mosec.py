"""mosec: POST /inference, raw bytes.  MODEL=FOLDER python serve_mosec.py --address 127.0.0.1 --port N"""

import os

from mosec import Server, Worker
from picture import Predictor

PROCESSES, BATCH, WAIT_MS = 2, 16, 1


class Classify(Worker):
    def __init__(self) -> None:
        super().__init__()
        self._predict = Predictor(os.environ["MODEL"])

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: list[bytes]) -> list[list[float]]:
        return self._predict(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classify, num=PROCESSES, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    server.run()
