"""Requests that are run together."""

from keras_attn.extras import require

require("tensorflow_serving")
