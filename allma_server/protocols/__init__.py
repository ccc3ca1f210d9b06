"""The protocols Allma speaks: each turns messages into operations, and results into messages."""
