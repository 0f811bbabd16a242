"""What a dataflow design is made of: logic, memories, and the coefficients fitted to synthesis."""
