"""MLflow's side of runs: the store, what is logged, and how runs are looked up."""
