-- Nobody set this budget: it is what the vendor itself says that it allows in a day.
ALTER TABLE budgets ADD COLUMN of_vendor boolean NOT NULL DEFAULT false;
