-- +goose Up

-- Times are microseconds since 1970; 0 is never.
CREATE TABLE notification_message (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  key text COLLATE "C" NOT NULL,               -- one message a key; '#' and the id where nobody gave one
  user_id bigint NOT NULL,        -- 0: it is for no user
  patient text COLLATE "C" NOT NULL,           -- Patient/1: it goes to the address on that record; ''
  about text COLLATE "C" NOT NULL,             -- Patient/1: whom it speaks of; ''
  channel text COLLATE "C" NOT NULL,           -- email, sms, websocket
  type text COLLATE "C" NOT NULL,
  priority text COLLATE "C" NOT NULL,          -- low, normal, high, urgent
  link text COLLATE "C" NOT NULL,              -- Appointment/12; ''
  content bytea NOT NULL,           -- sealed JSON: address, title, text; empty once it went out, or was given up or deleted
  status text COLLATE "C" NOT NULL,            -- pending, sent, failed
  reason text COLLATE "C" NOT NULL,            -- why it is not sent; ''
  tries bigint NOT NULL,
  at bigint NOT NULL,             -- not to be sent before
  next_at bigint NOT NULL,        -- the next attempt; 0: none was made yet, or there is no other
  until_at bigint NOT NULL,       -- not to be sent after
  sent_at bigint NOT NULL,
  read_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX notification_message_key ON notification_message (tenant, key);
CREATE INDEX notification_message_user ON notification_message (tenant, user_id, channel, id);
CREATE INDEX notification_message_unread ON notification_message (tenant, user_id) WHERE channel = 'websocket' AND status = 'sent' AND read_at = 0 AND deleted_at = 0;
CREATE INDEX notification_message_changed ON notification_message (tenant, updated_at);
CREATE INDEX notification_message_about ON notification_message (tenant, about) WHERE about <> '';

-- What users do not want to be told, or want although they do not want the rest of the channel.
CREATE TABLE notification_preference (
  tenant integer NOT NULL,
  user_id bigint NOT NULL,
  channel text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,              -- '*': all types that have no row of their own
  enabled bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, user_id, channel, type)
);
ALTER TABLE notification_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_message FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON notification_message USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE notification_preference ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_preference FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON notification_preference USING (tenant = current_setting('nilecare.tenant', true)::integer);
