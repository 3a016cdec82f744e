"""The live mirror of every host: monitor, store, statistics, publishing."""
