"""The server process: options, start and stop."""

from keras_attn.extras import require

require("tensorflow_serving")
