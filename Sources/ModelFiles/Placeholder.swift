// Model files.
