"""From a question and passages to a streamed answer with checked citations."""
