"""The process of the clients that `serving_processes.Load` starts: http.client or grpcio, nothing else.

Reads its settings from the first line of stdin; each further line is a number of seconds to ask for, after
which it writes a line with what came of it. Bodies arrive ready to send, and answers are not looked into.
"""

import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor


class RestCalls:
    """One kept-alive connection."""

    def __init__(self, port, model):
        self._path = f"/v1/models/{model}:predict"
        self._connection = http.client.HTTPConnection("localhost", port, timeout=300)
        self._connection.connect()

    def __call__(self, body):
        """Returns whether the request was answered, not refused."""
        self._connection.request("POST", self._path, body)
        response = self._connection.getresponse()
        response.read()
        return response.status == 200


class GrpcCalls:
    """One channel with a connection of its own."""

    def __init__(self, port, model):
        import grpc

        self._error = grpc.RpcError
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(f"localhost:{port}", options=options)
        grpc.channel_ready_future(self._channel).result(300)
        self._predict = self._channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

    def __call__(self, body):
        """Returns whether the request was answered, not refused."""
        try:
            self._predict(body, timeout=300)
        except self._error:
            return False
        return True


def main():
    settings = json.loads(sys.stdin.readline())
    kind = RestCalls if settings["protocol"] == "REST" else GrpcCalls
    calls = [kind(settings["port"], settings["model"]) for _ in range(settings["clients"])]
    bodies = [bytes.fromhex(body) for body in settings["bodies"]]
    print(json.dumps("connected"), flush=True)
    with ThreadPoolExecutor(len(calls)) as pool:
        for line in sys.stdin:
            print(json.dumps(ask(pool, calls, bodies, json.loads(line))), flush=True)


def ask(pool, calls, bodies, seconds):
    """All clients ask side by side, each for its next text as soon as it has its answer."""
    milliseconds, refused, begins = [], [], []
    start = threading.Barrier(len(calls), action=lambda: begins.append(time.perf_counter()))

    def one(number):
        start.wait(300)
        call, end = calls[number], begins[0] + seconds
        while (begin := time.perf_counter()) < end:
            outcomes = milliseconds if call(bodies[number % len(bodies)]) else refused
            outcomes.append((time.perf_counter() - begin) * 1e3)
            number += len(calls)

    list(pool.map(one, range(len(calls))))  # raises what one of them raised
    taken = time.perf_counter() - begins[0]
    return {"milliseconds": milliseconds, "refused": len(refused), "seconds": taken}


if __name__ == "__main__":
    main()
