CREATE TABLE organizations (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    slug       text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);

-- A person in one organization. The same person in two organizations is two users, so that nobody who administers
-- one of them can reach the other through a shared password.
CREATE TABLE users (
    id                uuid PRIMARY KEY,
    organization      uuid NOT NULL REFERENCES organizations (id),
    email             text NOT NULL,
    name              text NOT NULL,
    role              text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    password_hash     text,
    created_at        timestamptz NOT NULL,
    last_signed_in_at timestamptz,
    UNIQUE (organization, email)
);
CREATE INDEX users_email ON users (email);

CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL REFERENCES organizations (id),
    user_id      uuid NOT NULL REFERENCES users (id),
    token_hash   bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    revoked_at   timestamptz
);
CREATE INDEX sessions_user ON sessions (user_id);

-- One-time links.
CREATE TABLE links (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL REFERENCES organizations (id),
    user_id      uuid NOT NULL REFERENCES users (id),
    token_hash   bytea NOT NULL UNIQUE,
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
);
CREATE INDEX links_user ON links (user_id);

-- API keys and integration keys. Only the SHA-256 of a key is here; its first characters tell keys apart.
CREATE TABLE keys (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('api_key', 'integration_key')),
    organization uuid NOT NULL REFERENCES organizations (id),
    label        text NOT NULL,
    product      text NOT NULL DEFAULT '',
    prefix       text NOT NULL,
    secret_hash  bytea NOT NULL UNIQUE,
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    rotated_to   uuid REFERENCES keys (id)
);
CREATE INDEX keys_organization ON keys (organization, kind, created_at DESC);

-- Attempts to sign in, by the SHA-256 of the e-mail address or of the client's address.
CREATE TABLE attempts (
    key          bytea PRIMARY KEY,
    failures     integer NOT NULL,
    last_at      timestamptz NOT NULL,
    locked_until timestamptz
);
