"""What methods share: the retrieval task, InfoNCE, AdamW and dual softmax."""
