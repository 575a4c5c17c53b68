"""No server: decode and infer the given bodies in a loop.  python bare.py MODEL_FOLDER BODIES SECONDS

BODIES: a JSON list, base64. Waits for a line on stdin, then works; prints pictures a second and the
microseconds of processor time that each took.
"""

import base64
import json
import sys
import time
from pathlib import Path

from picture import Predictor


def main() -> None:
    predict = Predictor(sys.argv[1])
    bodies = [base64.b64decode(text) for text in json.loads(Path(sys.argv[2]).read_text())]
    seconds = float(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    while (wall := time.perf_counter() - began) < seconds:
        for body in bodies:
            predict([body])
        count += len(bodies)
    print(json.dumps([count / wall, (time.process_time() - cpu) / count * 1e6]))


if __name__ == "__main__":
    main()
