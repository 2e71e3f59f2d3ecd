"""DeepCAM inference and IO benchmark: the library behind the workflow. It never imports Snakemake."""
