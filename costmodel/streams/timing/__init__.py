"""When a dataflow design does what: segments, schedules, the machine with bounded FIFOs, the simulator that judges them."""
