"""Search of the records: which words and keys each has, what a question means, in which order its hits stand, where they hit."""
