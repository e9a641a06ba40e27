-- +goose Up

-- Times are microseconds since 1970; 0 is never.
CREATE TABLE notification_message (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  key TEXT NOT NULL,               -- one message a key; '#' and the id where nobody gave one
  user_id INTEGER NOT NULL,        -- 0: it is for no user
  patient TEXT NOT NULL,           -- Patient/1: it goes to the address on that record; ''
  about TEXT NOT NULL,             -- Patient/1: whom it speaks of; ''
  channel TEXT NOT NULL,           -- email, sms, websocket
  type TEXT NOT NULL,
  priority TEXT NOT NULL,          -- low, normal, high, urgent
  link TEXT NOT NULL,              -- Appointment/12; ''
  content BLOB NOT NULL,           -- sealed JSON: address, title, text; empty once it went out, or was given up or deleted
  status TEXT NOT NULL,            -- pending, sent, failed
  reason TEXT NOT NULL,            -- why it is not sent; ''
  tries INTEGER NOT NULL,
  at INTEGER NOT NULL,             -- not to be sent before
  next_at INTEGER NOT NULL,        -- the next attempt; 0: none was made yet, or there is no other
  until_at INTEGER NOT NULL,       -- not to be sent after
  sent_at INTEGER NOT NULL,
  read_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX notification_message_key ON notification_message (tenant, key);
CREATE INDEX notification_message_user ON notification_message (tenant, user_id, channel, id);
CREATE INDEX notification_message_unread ON notification_message (tenant, user_id) WHERE channel = 'websocket' AND status = 'sent' AND read_at = 0 AND deleted_at = 0;
CREATE INDEX notification_message_changed ON notification_message (tenant, updated_at);
CREATE INDEX notification_message_about ON notification_message (tenant, about) WHERE about <> '';

-- What users do not want to be told, or want although they do not want the rest of the channel.
CREATE TABLE notification_preference (
  tenant INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  channel TEXT NOT NULL,
  type TEXT NOT NULL,              -- '*': all types that have no row of their own
  enabled INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, user_id, channel, type)
) WITHOUT ROWID;
