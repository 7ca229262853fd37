"""What is deployed: the zoo, its data, training, checkpoints and reference logits."""
