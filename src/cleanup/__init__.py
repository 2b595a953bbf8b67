"""The cleanup function: when an object goes or changes, what was made of it before goes too.

It does not trust the order of events. Each one only makes it look: at the object as it is now, at
the catalog and at the item; and bring these in line.
"""
