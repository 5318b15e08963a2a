"""Models and their versions: found, loaded, watched, unloaded."""

from keras_attn.extras import require

require("tensorflow_serving")
