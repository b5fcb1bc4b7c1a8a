"""A Gaussian process over configuration and epoch, as an Optuna sampler that needs nothing but the study."""
