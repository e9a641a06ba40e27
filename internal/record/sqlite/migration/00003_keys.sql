-- +goose Up
-- A tenant's key has versions: number 0 is the first, then -2, -3 … (-1 is the key of the blind indexes). The lowest number is
-- current; older ones still open what they sealed and wrapped.
ALTER TABLE seal_key ADD COLUMN parent INTEGER NOT NULL DEFAULT 0; -- the number of the version that wraps it; of no meaning where the root key does

-- Which tenants have keys: the root key's rotation goes through them.
INSERT INTO setting (name, value) SELECT DISTINCT 'tenant.' || tenant, '' FROM seal_key WHERE num = 0;
