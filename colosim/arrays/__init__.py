"""The same design files on clocks that are arrays: one element a point of a grid."""
