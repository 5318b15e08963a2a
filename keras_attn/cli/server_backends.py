"""A server of our own in this process, asked over REST and over gRPC."""

import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

_MODEL = "verified"


class ServerBackend:
    """A client of a server as a backend.

    Args:
        name: what to call it.
        client: a `Client` or `GrpcClient`.
    """

    def __init__(self, name, client):
        self.name = name
        self._client = client

    def ask(self, signature, inputs):
        """Arrays by input name to arrays by output name."""
        from keras_attn.export.verification.comparison import as_arrays
        from keras_attn.serving import ServerError

        try:
            return as_arrays(self._client.predict(inputs, signature_name=signature))
        except ServerError as error:  # what the comparison takes for an answer that is wrong
            raise ValueError(f"status {error.status}: {error}") from error

    def follow(self, text):
        """The texts so far, and the answer, of one text as bytes; over REST alone. See `check_streams`."""
        from keras_attn.serving import ServerError

        parts, answer = [], None
        try:
            for event in self._client.stream({"text": [text]}):
                parts.append((parts[-1] if parts else b"") + event.text.encode())
                answer = event.outputs
        except ServerError as error:
            raise ValueError(f"status {error.status}: {error}") from error
        return parts, answer


@contextmanager
def served_backends(folder):
    """Serves one version while the block runs.

    Args:
        folder: of the version.

    Yields:
        A list of a backend over REST and one over gRPC.

    Raises:
        VerificationError: if the version does not load, or a warm-up request of its own fails.
    """
    from keras_attn.export.verification.checks import VerificationError
    from keras_attn.serving import GrpcClient, Options, Server, connect
    from keras_attn.serving.errors import ServingError

    with tempfile.TemporaryDirectory() as base_path, ExitStack() as stack:
        (Path(base_path) / "1").symlink_to(Path(folder).absolute(), target_is_directory=True)
        options = Options(port=0, model_name=_MODEL, model_base_path=base_path, max_num_load_retries=0)
        try:
            server = stack.enter_context(Server(options))
        except ServingError as error:
            raise VerificationError(f"The server does not take the version: {error}") from error
        grpc = stack.enter_context(GrpcClient(f"localhost:{server.grpc_port}", _MODEL))
        rest = connect(f"http://localhost:{server.rest_port}", _MODEL)
        stack.callback(rest.close)
        yield [ServerBackend("REST", rest), ServerBackend("gRPC", grpc)]
