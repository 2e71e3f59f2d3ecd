"""Figures of the report: a module for each, with the figure's name and three pure functions.

`data(tables)` returns the rows that the figure shows, which are also written as CSV. `title(shown)` states the finding,
and `draw(shown)` draws the figure. `predictions` alone is drawn from masks.
"""
