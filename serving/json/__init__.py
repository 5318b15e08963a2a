"""JSON bodies of REST requests and replies."""
