"""Where the workers run: ``local`` (this process), ``spark`` (barrier tasks) or ``tfpark`` (Analytics Zoo).

Each engine is a module with ``run(config, reporter)``, imported when it is asked for.
"""
