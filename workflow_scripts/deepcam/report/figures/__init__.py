"""Figures: a module for each, named as its file, with two pure functions.

`data(tables)` is what it shows, a row a mark, as it also stands in the CSV beside it; `draw(data)` makes the figure.
"""
