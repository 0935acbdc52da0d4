"""How visitors take turns at the model: the queue, and what a run asks of it while it computes.

Knows visitors by a name, and time; not models, pages or what is computed.
"""
