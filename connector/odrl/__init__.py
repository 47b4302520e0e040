"""Policies as values (ODRL 2.2): read, compare, compile, decide. Pure: no clock, no file, no network."""
