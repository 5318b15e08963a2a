"""`python -m keras_attn.serving` runs the model server."""

import sys

from keras_attn.serving.server.main import main

sys.exit(main(sys.argv[1:]))
