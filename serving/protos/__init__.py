"""Messages of TensorFlow Serving's protocol."""

from keras_attn.extras import require

require("google")
