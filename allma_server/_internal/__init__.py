"""Code that every package may use: processes, tasks, late imports, logs, paths. Not an API."""
