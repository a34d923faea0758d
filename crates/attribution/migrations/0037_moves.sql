-- What moves with another attribution is in no index, so that moving it writes none of them again.

-- Sets that are closed stay in the index: there are few of them, and closing one is cheap.
DROP INDEX attributions_partner;
CREATE INDEX attributions_partner ON attributions (organization, partner, ts);

-- What a payout would take something for. `due` and `paid` would be columns of the index, by its condition.
ALTER TABLE commissions ADD COLUMN payable boolean NOT NULL
    GENERATED ALWAYS AS (status = 'approved' OR (status IN ('paid', 'reversed') AND due <> paid)) STORED;
DROP INDEX commissions_payable;
CREATE INDEX commissions_payable ON commissions (organization, partner) WHERE payable;
