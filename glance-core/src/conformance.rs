//! Suites that any implementation of the two traits can run on itself.
