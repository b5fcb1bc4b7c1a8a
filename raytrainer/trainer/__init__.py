"""How does one model train? The composed Ultralytics trainer; knows nothing of Ray or Optuna."""
