"""Fault injection for durable functions: in one process, and in deployed stages.

`harness` runs a durable handler with its stages in this process; `stages` and `durable` hold the
faults to put into it, and `pytest_plugin` makes it a fixture. `deployed` puts faults into the
stages of a SAM template. None of it touches the code under test.
"""
