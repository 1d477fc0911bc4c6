"""What writes the log of deletions: triggers, so that no way to remove an image can forget it, in the transaction that removes it.

The table is in `cluster_schema`. `kind` says what `name` is: the id of a `stream_image`, of a `trashed_image`, or the address of an
`own_cover` that nothing shows any more. A notification goes out with the commit; nodes look every second as well.
"""

CHANNEL = "vinylvault_deletions"

LOG = f"""
    -- What the nodes have agreed on, as whole numbers: fingerprints of their key and of their store, the last deletion that was swept.
    CREATE TABLE cluster (name text COLLATE "C" PRIMARY KEY, value bigint NOT NULL);

    CREATE FUNCTION log_image() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO deletions (kind, name) VALUES (TG_ARGV[0], OLD.id);
        RETURN NULL;
    END $$;
    CREATE TRIGGER stream_image_logged AFTER DELETE ON stream_images FOR EACH ROW EXECUTE FUNCTION log_image('stream_image');
    CREATE TRIGGER trashed_image_logged AFTER DELETE ON trashed_images FOR EACH ROW EXECUTE FUNCTION log_image('trashed_image');

    CREATE FUNCTION log_own_cover() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE gone text := CASE TG_TABLE_NAME WHEN 'albums' THEN to_jsonb(OLD) ->> 'own_cover' ELSE to_jsonb(OLD) ->> 'address' END;
    BEGIN
        IF NOT EXISTS (
            SELECT 1 FROM albums WHERE own_cover = gone UNION ALL SELECT 1 FROM record_images WHERE address = gone
            UNION ALL SELECT 1 FROM removed_files WHERE address = gone
        ) THEN
            INSERT INTO deletions (kind, name) VALUES ('own_cover', gone);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER own_cover_changed AFTER UPDATE OF own_cover ON albums FOR EACH ROW
        WHEN (OLD.own_cover LIKE 'own:%' AND OLD.own_cover IS DISTINCT FROM NEW.own_cover) EXECUTE FUNCTION log_own_cover();
    CREATE TRIGGER own_cover_removed AFTER DELETE ON albums FOR EACH ROW
        WHEN (OLD.own_cover LIKE 'own:%') EXECUTE FUNCTION log_own_cover();
    CREATE TRIGGER own_image_removed AFTER DELETE ON record_images FOR EACH ROW
        WHEN (OLD.address LIKE 'own:%') EXECUTE FUNCTION log_own_cover();
    CREATE TRIGGER own_file_removed AFTER DELETE ON removed_files FOR EACH ROW
        WHEN (OLD.address LIKE 'own:%') EXECUTE FUNCTION log_own_cover();

    CREATE FUNCTION announce_deletions() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_notify('{CHANNEL}', current_schema());
        RETURN NULL;
    END $$;
    CREATE TRIGGER deletions_announced AFTER INSERT ON deletions FOR EACH STATEMENT EXECUTE FUNCTION announce_deletions();
"""
