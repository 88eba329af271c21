-- Every stream whose positions are in sync tokens begins at a number from here, 2^32 times, with each start of the server.
-- The highest position in its table is not enough: positions are also handed out, and told to clients, for what was not
-- written in the end or is deleted by now. Given out anew after a restart, they would be news that some clients never hear.
ALTER SEQUENCE to_device_starts RENAME TO stream_starts;
