"""A firewall installed, stitched into live traffic and changed under load, between hosts in network namespaces."""
