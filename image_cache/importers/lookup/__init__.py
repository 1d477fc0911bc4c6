"""Records that are looked up one at a time, by barcode, number or words, at services that know many."""
