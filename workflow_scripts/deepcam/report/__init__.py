"""From records to tables, figures, pages and comparisons."""

import os

# matplotlib reads these when it is imported, and fails with a backend that another program, such as Jupyter, presets.
os.environ.update(MPLBACKEND="agg", MATPLOTLIBRC=os.devnull)
