"""TFLite / LiteRT files."""
