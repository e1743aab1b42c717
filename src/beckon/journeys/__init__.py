"""What the product is for: one folder a journey, found by scanning."""
