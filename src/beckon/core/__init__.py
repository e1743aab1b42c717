"""The words: the plain values that every room speaks in. Nothing here does IO."""
