"""Jobs -> runs: one file a way to run many trials. What each of them offers is `advisor.laboratory.Executor`."""
