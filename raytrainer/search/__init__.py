"""What to try next? The Optuna study, the searcher and early stopping; knows nothing of torch."""
