"""The REST interface."""

from keras_attn.extras import require

require("httptools", "uvicorn")
