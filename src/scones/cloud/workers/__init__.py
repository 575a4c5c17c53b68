"""The host side of a child process: spawn, watch, stop, and reap what a crash left behind."""
