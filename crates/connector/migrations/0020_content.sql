-- A version is a moment of the vendor's clock: two edits may share it. What a record said then tells them apart.
ALTER TABLE delivered ADD COLUMN content uuid;
