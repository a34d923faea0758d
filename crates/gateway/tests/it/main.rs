//! Stories of the gateway in front of rooms that are made up.
