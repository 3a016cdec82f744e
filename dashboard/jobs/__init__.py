"""What every change is: operations, jobs, leases, locks, undo, progress, cancel."""
