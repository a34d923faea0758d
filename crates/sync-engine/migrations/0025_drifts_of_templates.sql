-- A template relies upon several fields of the vendor, and each of them may drift.
ALTER TABLE drifts DROP CONSTRAINT drifts_pkey, ADD PRIMARY KEY (mapping_id, field, vendor_field);
