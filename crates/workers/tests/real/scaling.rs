//! How many workers there are, and who gets a place.
