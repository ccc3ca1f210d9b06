"""From folders to a searchable index: scope, plan, pipeline."""
