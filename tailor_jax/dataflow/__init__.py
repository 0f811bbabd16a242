"""The streaming design: folded streams of words, the processes between them, and the plan that is priced and printed."""
