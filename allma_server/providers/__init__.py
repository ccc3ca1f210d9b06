"""Providers of models: embedding, chat and reranking, and how they are reached."""
