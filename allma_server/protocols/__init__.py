"""The protocols Allma speaks: each door turns messages into operations, and results back."""
