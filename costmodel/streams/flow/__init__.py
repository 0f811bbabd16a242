"""When processes of a streaming design do what: its parts between articulation nodes, the bounded machine, depths."""
