"""The Python language: names, values, heap, paths, calls of the script's own functions and classes."""
