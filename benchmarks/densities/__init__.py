"""Flows that sample known densities: Shoal beside normflows and flowjax, and NUTS with and without a flow before it."""
