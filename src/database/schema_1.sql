-- A database of schema 1 with two events, as version 0.1.0 has made it. It stays as it is.
PRAGMA journal_mode = WAL;
PRAGMA application_id = 2004055152;
CREATE TABLE events(
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    connection TEXT,
    channel TEXT,
    direction TEXT,
    size INTEGER,
    event TEXT NOT NULL
);
INSERT INTO events VALUES(1,1700000000000,0,'connect','a',NULL,NULL,NULL,'{"id":"1700000000000-0","time":"2023-11-14T22:13:20.000Z","kind":"connect","connectionId":"a","remote":"127.0.0.1:37644","transport":"websocket","path":"/ws","headers":{}}');
INSERT INTO events VALUES(2,1700000000000,3,'message','a',NULL,'in',7,'{"id":"1700000000000-3","time":"2023-11-14T22:13:20.000Z","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":7,"channel":null,"message":{"n":1}}');
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES('schema',1);
INSERT INTO meta VALUES('wstap','0.1.0');
CREATE INDEX events_connect ON events(connection) WHERE kind = 'connect';
CREATE VIEW messages AS
    SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS time,
        connection, channel, direction, size, event ->> '$.message' AS message
    FROM events WHERE kind = 'message';
