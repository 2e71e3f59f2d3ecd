"""Figures of the report: a module for each, with the figure's name and two pure functions.

`data(tables)` returns the rows that the figure shows, which are also written as CSV. `draw(shown)` draws them.
"""
