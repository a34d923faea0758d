-- A record that was deleted with the vendor's: nobody finds it, unless the vendor's comes back.
ALTER TABLE records ADD COLUMN deleted boolean NOT NULL DEFAULT false;

-- The organization is on every row.
ALTER TABLE links ADD COLUMN organization_id uuid;
UPDATE links SET organization_id = m.organization_id FROM mappings m WHERE m.id = links.mapping_id;
ALTER TABLE links ALTER COLUMN organization_id SET NOT NULL;
ALTER TABLE plans ADD COLUMN organization_id uuid;
UPDATE plans SET organization_id = m.organization_id FROM mappings m WHERE m.id = plans.mapping_id;
ALTER TABLE plans ALTER COLUMN organization_id SET NOT NULL;

-- What waits for a person, and what is left out.
CREATE INDEX links_by_state ON links (mapping_id, state, id) WHERE state IN ('ambiguous', 'filtered', 'ignored');

-- When the vendor's side said so: an older word that arrives later changes nothing.
ALTER TABLE connections ADD COLUMN state_at timestamptz, ADD COLUMN objects_at timestamptz;
