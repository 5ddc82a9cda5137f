"""Learning what models look like: building them without their weights, and following their forward pass.

The only part of headcheck besides the confirm worker that imports torch. It runs when a catalog is generated
(`headcheck trace`), never when a script is checked.
"""
