-- All links of one mapping, in the order of ids: counted while a plan is shown, and paged when it is applied. Without it
-- both read the links of every mapping of every organization.
CREATE INDEX links_by_mapping ON links (mapping_id, id);
