"""`python -m keras_attn.serving` runs the model server."""

import sys

from keras_attn.extras import exiting_without_extra

with exiting_without_extra():
    from keras_attn.serving.server.main import main

    sys.exit(main(sys.argv[1:]))
