"""The results page: everything that it says, as plain data for the template share/report/summary.html.j2."""
