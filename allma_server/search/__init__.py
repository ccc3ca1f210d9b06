"""From a query to passages with exact places."""
