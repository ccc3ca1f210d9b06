"""Model providers: embedding, chat and reranking models, and HTTP access to their servers."""
