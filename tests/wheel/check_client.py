"""Run where the wheel is installed and nothing else: the REST client needs no package but urllib3."""

import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

assert importlib.util.find_spec("tensorflow") is None
assert importlib.util.find_spec("numpy") is None

import keras_attn  # noqa: E402
from keras_attn.serving import connect  # noqa: E402

assert Path(keras_attn.__file__).is_relative_to(sys.prefix), keras_attn.__file__


class Upper(BaseHTTPRequestHandler):
    """Answers as a model would that writes capitals."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]["text"]
        body = json.dumps({"outputs": [text.upper() for text in texts]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", 0), Upper)
threading.Thread(target=server.serve_forever, daemon=True).start()
with connect(f"http://127.0.0.1:{server.server_port}", "upper") as client:
    assert client.predict({"text": ["grüße"]}) == ["GRÜSSE"]
server.shutdown()
print("client without TensorFlow: fine")
