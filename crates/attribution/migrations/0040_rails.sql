-- The rail that moves a payout's money, when it was first asked to, and when it is asked next: null where a person says
-- what becomes of it. `trouble` is what the rail said last where it did not say what became of the transfer, or why it failed.
ALTER TABLE payouts
    ADD COLUMN rail     text NOT NULL DEFAULT 'manual',
    ADD COLUMN begun_at timestamptz,
    ADD COLUMN asked    integer NOT NULL DEFAULT 0,
    ADD COLUMN ask_at   timestamptz,
    ADD COLUMN trouble  text NOT NULL DEFAULT '';
CREATE INDEX payouts_asking ON payouts (rail, ask_at) WHERE status = 'pending' AND ask_at IS NOT NULL;

DROP TRIGGER facts_stay ON payouts;
CREATE TRIGGER facts_stay BEFORE UPDATE ON payouts FOR EACH ROW
    WHEN (OLD.status <> 'pending' OR
          (NEW.id, NEW.organization, NEW.run, NEW.partner, NEW.currency, NEW.amount, NEW.key, NEW.created_at, NEW.rail)
          IS DISTINCT FROM
          (OLD.id, OLD.organization, OLD.run, OLD.partner, OLD.currency, OLD.amount, OLD.key, OLD.created_at, OLD.rail))
    EXECUTE FUNCTION refuse();
