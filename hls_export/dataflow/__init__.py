"""The streaming design: its plan, the C++ of a network, the headers and templates of a project."""
