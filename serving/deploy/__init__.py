"""Files that run an export in the stock TensorFlow Serving image: Compose, Kubernetes, KServe."""

from keras_attn.extras import require

require("tensorflow")

from keras_attn.serving.deploy.files import KINDS, deployment_files
from keras_attn.serving.deploy.target import Target

__all__ = ["KINDS", "Target", "deployment_files"]
