"""What was asked? The space file, its parameters and its errors."""
