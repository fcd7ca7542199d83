"""Traffic that was seen -> a workload file -> users who behave like it. Texts and ids go nowhere."""
