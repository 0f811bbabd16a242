"""When a dataflow design does what: segments, schedules, the bounded machine, the simulator that judges them."""
