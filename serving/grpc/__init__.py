"""The gRPC interface."""

from keras_attn.extras import require

require("tensorflow_serving")
