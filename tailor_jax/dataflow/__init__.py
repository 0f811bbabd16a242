"""The streaming design: folded streams of words, the processes between them, the plan that is priced and printed."""
