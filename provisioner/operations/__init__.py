"""The use cases, for the command line, for benchmarks and for other people's programs.

Values in, values out, events by a callback. Nothing here prints, asks, or ends the process. Adapters are imported
inside functions alone, so that what needs none of them stays quick.
"""
