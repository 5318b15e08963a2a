"""Files that run an export in the stock TensorFlow Serving image: Compose, Kubernetes, KServe."""

from .files import KINDS, deployment_files
from .target import Target

__all__ = ["KINDS", "Target", "deployment_files"]
