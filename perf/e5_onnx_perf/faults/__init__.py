"""`e5-perf faults`: kills, full disks, jumping clocks and damaged folders, and whether anything is harmed."""
