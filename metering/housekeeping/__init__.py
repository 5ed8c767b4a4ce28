"""What keeps the store in order: partitions ahead of need, and batches that waited for one."""
