"""Messages of TensorFlow Serving's protocol."""
