"""What a server does with many requests: memory in pages, batches that change, tokens guessed ahead."""
