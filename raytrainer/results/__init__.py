"""What came out? Best configuration, retraining, report and progress."""
