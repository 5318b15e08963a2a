"""A server whose answers are written down beforehand."""

import contextlib
import socketserver
import threading


@contextlib.contextmanager
def scripted_server(*answers):
    """Answers each connection's first request with the next of `answers` (bytes; the last of them again and
    again), then hangs up. Yields its URL and the list of the requests, each whole: they end with a brace."""
    seen = []

    class OneRequest(socketserver.BaseRequestHandler):
        def handle(self):
            request = b""
            while not request.endswith(b"}") and (part := self.request.recv(65536)):
                request += part
            seen.append(request)
            self.request.sendall(answers[min(len(seen), len(answers)) - 1])

    with socketserver.TCPServer(("127.0.0.1", 0), OneRequest) as server:
        answering = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        answering.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()  # the thread has left the listener before that is closed
            answering.join()
