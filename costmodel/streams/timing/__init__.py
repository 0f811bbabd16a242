"""When a dataflow design does what: processes, schedules, the machine with bounded FIFOs, and its simulator."""
