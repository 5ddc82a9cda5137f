"""headcheck: proves, before GPU time is spent, that a script replaces a model's classifier head correctly."""

__version__ = "0.1.0"
