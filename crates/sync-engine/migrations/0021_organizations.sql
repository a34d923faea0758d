-- The organization is on every row.
ALTER TABLE revisions ADD COLUMN organization_id uuid;
UPDATE revisions SET organization_id = r.organization_id FROM records r WHERE r.id = revisions.record_id;
ALTER TABLE revisions ALTER COLUMN organization_id SET NOT NULL;
ALTER TABLE writes ADD COLUMN organization_id uuid;
UPDATE writes SET organization_id = m.organization_id FROM mappings m WHERE m.id = writes.mapping_id;
ALTER TABLE writes ALTER COLUMN organization_id SET NOT NULL;
ALTER TABLE activity ADD COLUMN organization_id uuid;
UPDATE activity SET organization_id = m.organization_id FROM mappings m WHERE m.connection_id = activity.connection_id;
DELETE FROM activity WHERE organization_id IS NULL;
ALTER TABLE activity ALTER COLUMN organization_id SET NOT NULL;
