"""Amazon States Language, pure: no file, no socket, no clock, no randomness of its own.

definition text -> Program; Machine.feed(stimuli, now) -> events to journal, commands to perform.
"""
