"""Folders that engines share in a cluster.

Each engine owns what it shares: SQLite has its truth and the outbox of its changes. `publisher.py`
has `share_writer.py` write them to a tenant of the cluster for each folder, `registry.py` says
there whose folder has which name, and `search.py` finds in the folders of others.
"""
