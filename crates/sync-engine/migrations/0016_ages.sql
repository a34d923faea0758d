-- What is kept for a stated time only is found by its age.
CREATE INDEX issues_settled ON issues (at) WHERE state IN ('resolved', 'dismissed');
CREATE INDEX conflicts_by_age ON conflicts USING brin (at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX activity_by_age ON activity USING brin (minute) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX created_by_age ON created_by_key USING brin (at) WITH (pages_per_range = 16, autosummarize = on);
