"""Export and import of a data directory, and recovery of a damaged database."""
