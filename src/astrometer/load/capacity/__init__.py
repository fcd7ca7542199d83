"""`--capacity`: one Locust run whose load is steered by `measure.capacity`, window by window."""
