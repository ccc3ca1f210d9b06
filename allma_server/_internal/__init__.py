"""Code below every package: processes, tasks, late imports, logs, paths; not part of the API."""
