"""From bytes to chunks: file types, readers in worker processes, chunking."""
