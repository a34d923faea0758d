-- Partners who are invited are active from the first use of a key of their own, or when somebody says so. All others are
-- active at once, as all were before.
ALTER TABLE partners ADD COLUMN invited_at timestamptz, ADD COLUMN activated_at timestamptz;
UPDATE partners SET activated_at = created_at;
