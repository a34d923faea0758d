-- Entries of one record are as far apart as its changes, so that a b-tree of targets is written all over: with a million
-- records that cost each entry a page of its own. A summary of each megabyte grows at its end, and is read in a few
-- milliseconds for each million of entries.
DROP INDEX entries_target;
CREATE INDEX entries_target ON entries
    USING brin (target text_bloom_ops(n_distinct_per_range = 2000, false_positive_rate = 0.01))
    WITH (pages_per_range = 128, autosummarize = on);
