-- +goose Up

-- Times are microseconds since 1970; 0 is never. Codes, handles, secrets and tokens stand here as their SHA-256 alone.

CREATE TABLE oauth_client (
  tenant integer NOT NULL,
  id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  meta text COLLATE "C" NOT NULL,             -- JSON: the registered metadata of RFC 7591
  contacts bytea NOT NULL,         -- sealed
  secret bytea NOT NULL,           -- SHA-256; empty: none
  registration bytea NOT NULL,     -- SHA-256 of the registration access token; empty: none
  origin text COLLATE "C" NOT NULL,           -- who made it: admin, dynamic, program
  disabled_at bigint NOT NULL,       -- 0: it is not
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE oauth_login (
  tenant integer NOT NULL,
  hash bytea NOT NULL,             -- SHA-256 of the cookie
  subject bigint NOT NULL,
  methods text COLLATE "C" NOT NULL,
  auth_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);

CREATE TABLE oauth_request (
  tenant integer NOT NULL,
  hash bytea NOT NULL,             -- SHA-256 of the handle that the pages carry
  browser bytea NOT NULL,          -- SHA-256 of the browser's cookie
  client text COLLATE "C" NOT NULL,
  body text COLLATE "C" NOT NULL,             -- JSON: what was asked, and what is decided so far
  expires_at bigint NOT NULL,
  created_at bigint NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);

CREATE TABLE oauth_code (
  tenant integer NOT NULL,
  hash bytea NOT NULL,
  client text COLLATE "C" NOT NULL,
  session bigint NOT NULL,           -- that it begins
  body text COLLATE "C" NOT NULL,             -- JSON: what it grants
  expires_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, used_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);

CREATE TABLE oauth_session (
  tenant integer NOT NULL,
  num bigint NOT NULL,
  client text COLLATE "C" NOT NULL,
  subject bigint NOT NULL,
  scope text COLLATE "C" NOT NULL,
  context text COLLATE "C" NOT NULL,          -- JSON: the launch context
  offline integer NOT NULL,           -- 1: it outlives the login
  login bytea NOT NULL,            -- of the browser, as in oauth_login; empty: none
  auth_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL, -- revoked
  reason text COLLATE "C" NOT NULL,           -- why it was revoked
  PRIMARY KEY (tenant, num)
);
CREATE INDEX oauth_session_subject ON oauth_session (tenant, subject, client);
CREATE INDEX oauth_session_client ON oauth_session (tenant, client);

CREATE TABLE oauth_refresh (
  tenant integer NOT NULL,
  hash bytea NOT NULL,
  session bigint NOT NULL,
  created_at bigint NOT NULL, expires_at bigint NOT NULL, used_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE INDEX oauth_refresh_session ON oauth_refresh (tenant, session);

CREATE TABLE oauth_consent (
  tenant integer NOT NULL,
  subject bigint NOT NULL,
  client text COLLATE "C" NOT NULL,
  asked text COLLATE "C" NOT NULL,            -- scopes that were put to the person
  granted text COLLATE "C" NOT NULL,          -- scopes that they agreed to
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, subject, client)
);

CREATE TABLE oauth_launch (
  tenant integer NOT NULL,
  hash bytea NOT NULL,
  client text COLLATE "C" NOT NULL,
  subject bigint NOT NULL,           -- who may use it
  body text COLLATE "C" NOT NULL,             -- JSON: the launch context
  expires_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, used_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);

CREATE TABLE oauth_device (
  tenant integer NOT NULL,
  hash bytea NOT NULL,             -- of the device code
  user_code bytea NOT NULL,        -- hash
  client text COLLATE "C" NOT NULL,
  scope text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL,            -- pending, approved, denied, used
  body text COLLATE "C" NOT NULL,             -- JSON: what it grants, once approved
  session bigint NOT NULL,
  pause bigint NOT NULL,             -- seconds between two polls
  polled_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE UNIQUE INDEX oauth_device_user_code ON oauth_device (tenant, user_code);

CREATE TABLE oauth_assertion (
  tenant integer NOT NULL,
  client text COLLATE "C" NOT NULL,
  jti bytea NOT NULL,              -- SHA-256
  expires_at bigint NOT NULL,
  PRIMARY KEY (tenant, client, jti)
);

CREATE TABLE oauth_revoked (
  tenant integer NOT NULL,
  jti text COLLATE "C" NOT NULL,
  expires_at bigint NOT NULL,
  PRIMARY KEY (tenant, jti)
);

CREATE TABLE oauth_initial (
  tenant integer NOT NULL,
  hash bytea NOT NULL,
  name text COLLATE "C" NOT NULL,
  uses bigint NOT NULL,              -- that are left
  expires_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['oauth_client', 'oauth_login', 'oauth_request', 'oauth_code', 'oauth_session', 'oauth_refresh', 'oauth_consent', 'oauth_launch', 'oauth_device', 'oauth_assertion', 'oauth_revoked', 'oauth_initial'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY own_tenant ON %I USING (tenant = current_setting(''nilecare.tenant'', true)::integer)', t);
  END LOOP;
END
$$;
-- +goose StatementEnd
