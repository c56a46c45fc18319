-- The tables of `schema.sql` for many libraries in one database. Each row belongs to a library, and row-level security
-- shows a session the rows of the one library that it has opened, if one of its roles may read it: the statements of
-- `library` and `writer` are the same for both databases. What a role may is in `rights`; roles are PostgreSQL's own.
CREATE EXTENSION IF NOT EXISTS vector;
-- Functions that run as the tables' owner look there for pgvector, and would find a function of anybody else too.
DO $$
BEGIN
    IF has_schema_privilege('public', 'public', 'CREATE') THEN
        RAISE 'everybody may add functions to its schema public; first: REVOKE CREATE ON SCHEMA public FROM PUBLIC';
    END IF;
END $$;
CREATE SCHEMA localrag;
GRANT USAGE ON SCHEMA localrag TO PUBLIC;
SET LOCAL search_path = localrag, public;

CREATE TABLE libraries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL);
CREATE TABLE rights (
    library_id bigint NOT NULL REFERENCES libraries ON DELETE CASCADE,
    role text COLLATE "C" NOT NULL,
    may text NOT NULL CHECK (may IN ('read', 'write', 'own')),
    PRIMARY KEY (library_id, role));

-- What the session's user may do with a library: 3 own, 2 write, 1 read, 0 nothing.
-- These three are asked for each table of a statement; PL/pgSQL keeps their plans, which SQL functions make each time.
CREATE FUNCTION allowed(library bigint) RETURNS int
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = localrag, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(max(array_position(ARRAY['read', 'write', 'own'], may)), 0)
        FROM rights JOIN pg_catalog.pg_roles ON rolname = role
        WHERE library_id = library AND pg_has_role(session_user, oid, 'USAGE'));
END $$;
-- The library that this session has opened, if it may still read it, or write it; else NULL.
CREATE FUNCTION readable() RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = localrag, pg_temp AS $$
DECLARE opened bigint := nullif(current_setting('localrag.library', true), '');
BEGIN
    RETURN CASE WHEN allowed(opened) >= 1 THEN opened END;
END $$;
CREATE FUNCTION writable() RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = localrag, pg_temp AS $$
DECLARE opened bigint := nullif(current_setting('localrag.library', true), '');
BEGIN
    RETURN CASE WHEN allowed(opened) >= 2 THEN opened END;
END $$;
-- The libraries that the session's user may read.
CREATE FUNCTION visible() RETURNS TABLE (id bigint, name text, may int)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = localrag, pg_temp
    BEGIN ATOMIC
        SELECT l.id, l.name, allowed(l.id) FROM libraries l WHERE allowed(l.id) >= 1 ORDER BY l.name, l.id;
    END;

-- The library that this session has opened; raises an error that names the deed if the user does not own it.
CREATE FUNCTION owned(deed text) RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = localrag, pg_temp AS $$
DECLARE opened bigint := readable();
BEGIN
    IF opened IS NULL OR allowed(opened) < 3 THEN
        RAISE insufficient_privilege USING MESSAGE = 'only an owner of a library may ' || deed;
    END IF;
    RETURN opened;
END $$;

CREATE FUNCTION create_library(title text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = localrag, pg_temp AS $$
DECLARE made bigint;
BEGIN
    INSERT INTO libraries (name) VALUES (title) RETURNING id INTO made;
    INSERT INTO rights VALUES (made, session_user, 'own');
    -- Ids of passages are numbers of a library's own and never given twice: the full text counts in blocks of them.
    EXECUTE format('CREATE SEQUENCE passages_%s', made);
    RETURN made;
END $$;
REVOKE EXECUTE ON FUNCTION create_library FROM PUBLIC;
CREATE FUNCTION next_passage() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = localrag, pg_temp AS $$
BEGIN
    RETURN nextval(format('passages_%s', writable())::regclass);
END $$;
CREATE FUNCTION drop_library() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = localrag, pg_temp AS $$
DECLARE chosen bigint := owned('delete it');
BEGIN
    DELETE FROM libraries WHERE id = chosen;
    EXECUTE format('DROP SEQUENCE passages_%s', chosen);
END $$;
-- Drop the indexes of libraries that were deleted. It has to be alone in the table for a moment, so it does not wait
-- long: the next one drops what is left.
CREATE FUNCTION drop_left_indexes() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = localrag, pg_temp SET lock_timeout = '1s' AS $$
DECLARE unused text;
BEGIN
    FOR unused IN SELECT relname FROM pg_catalog.pg_index JOIN pg_catalog.pg_class ON oid = indexrelid
            WHERE indrelid = 'passages'::regclass AND relname LIKE 'vectors\_%'
            AND NOT EXISTS (SELECT FROM libraries WHERE id = CAST(split_part(relname, '_', 2) AS bigint)) LOOP
        EXECUTE format('DROP INDEX %I', unused);
    END LOOP;
EXCEPTION WHEN lock_not_available THEN
    NULL;
END $$;
CREATE FUNCTION set_right(given text, right_ text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = localrag, pg_temp AS $$
DECLARE chosen bigint := owned('change its rights');
BEGIN
    -- Else two owners could take the right of each other at the same moment.
    PERFORM FROM libraries WHERE id = chosen FOR NO KEY UPDATE;
    -- First, since owners that take their own right may add nothing to the log after it; an error undoes all of it.
    INSERT INTO audit (event, details) VALUES ('right', json_build_object('role', given, 'may', right_));
    DELETE FROM rights WHERE library_id = chosen AND role = given;
    -- The right of a role that was dropped can be taken.
    IF (right_ IS NOT NULL OR NOT FOUND) AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = given) THEN
        RAISE no_data_found USING MESSAGE = pg_catalog.format('there is no role %L', given);
    END IF;
    IF right_ IS NOT NULL THEN
        INSERT INTO rights VALUES (chosen, given, right_);
    ELSIF NOT FOUND THEN
        RAISE no_data_found USING MESSAGE = pg_catalog.format('no right was given to the role %L', given);
    END IF;
    IF NOT EXISTS (SELECT FROM rights JOIN pg_catalog.pg_roles ON rolname = role
            WHERE library_id = chosen AND may = 'own') THEN
        RAISE insufficient_privilege USING MESSAGE = 'a library needs an owner';
    END IF;
END $$;

CREATE FUNCTION given_rights() RETURNS TABLE (role text, may text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = localrag, pg_temp
    BEGIN ATOMIC
        SELECT r.role, r.may FROM rights r WHERE library_id = readable() AND allowed(library_id) = 3 ORDER BY r.role;
    END;

-- The rights that a role has by others, which it is a member of.
CREATE FUNCTION rights_by_others(given text) RETURNS TABLE (role text, may text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = localrag, pg_temp
    BEGIN ATOMIC
        SELECT r.role, r.may FROM rights r JOIN pg_catalog.pg_roles o ON o.rolname = r.role
            JOIN pg_catalog.pg_roles g ON g.rolname = given
            WHERE library_id = readable() AND allowed(library_id) = 3 AND r.role <> given
            AND pg_has_role(g.oid, o.oid, 'USAGE') ORDER BY r.role;
    END;

-- Keys lead only to rows of the same library, since PostgreSQL checks keys without regard to row-level security.
CREATE DOMAIN library AS bigint NOT NULL DEFAULT CAST(current_setting('localrag.library') AS bigint);
CREATE TABLE meta (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    key text COLLATE "C" NOT NULL, value text NOT NULL, PRIMARY KEY (library_id, key));
CREATE TABLE roots (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    id bigint GENERATED BY DEFAULT AS IDENTITY, path text COLLATE "C" NOT NULL,
    PRIMARY KEY (library_id, id), UNIQUE (library_id, path));
CREATE TABLE files (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    root_id bigint NOT NULL,
    path text COLLATE "C" NOT NULL, size bigint NOT NULL, mtime_ns bigint NOT NULL,
    sha256 text COLLATE "C" NOT NULL, stamp text COLLATE "C" NOT NULL,
    PRIMARY KEY (library_id, id), UNIQUE (library_id, root_id, path),
    FOREIGN KEY (library_id, root_id) REFERENCES roots ON DELETE CASCADE);
CREATE INDEX files_by_content ON files (library_id, sha256);
CREATE TABLE documents (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    file_id bigint NOT NULL,
    member text COLLATE "C" NOT NULL, title text COLLATE "C" NOT NULL, sha256 text COLLATE "C" NOT NULL,
    size bigint NOT NULL, paged int NOT NULL, characters bigint NOT NULL, author text COLLATE "C" NOT NULL,
    date text COLLATE "C" NOT NULL, skipped text NOT NULL, remarks text NOT NULL, sketch bytea NOT NULL,
    language text COLLATE "C" NOT NULL, naming bytea NOT NULL DEFAULT '',
    PRIMARY KEY (library_id, id), UNIQUE (library_id, file_id, member),
    FOREIGN KEY (library_id, file_id) REFERENCES files ON DELETE CASCADE);
CREATE TABLE pages (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    document_id bigint NOT NULL,
    position int NOT NULL, number bigint, label text, unit text NOT NULL, text text NOT NULL,
    layout text NOT NULL, PRIMARY KEY (library_id, document_id, position),
    FOREIGN KEY (library_id, document_id) REFERENCES documents ON DELETE CASCADE);
CREATE TABLE passages (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    id bigint NOT NULL DEFAULT next_passage(), digest bytea NOT NULL, vector halfvec NOT NULL,
    words bytea NOT NULL DEFAULT '', PRIMARY KEY (library_id, id), UNIQUE (library_id, digest));
ALTER TABLE passages ALTER vector SET STORAGE PLAIN;
CREATE TABLE chunks (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    passage_id bigint NOT NULL,
    document_id bigint NOT NULL,
    position int NOT NULL, start int NOT NULL, "end" int NOT NULL,
    heading text NOT NULL, header_start int, header_end int, spot text NOT NULL,
    PRIMARY KEY (library_id, id), FOREIGN KEY (library_id, document_id) REFERENCES documents ON DELETE CASCADE,
    FOREIGN KEY (library_id, passage_id) REFERENCES passages DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX chunks_of_document ON chunks (library_id, document_id, position, start);
CREATE INDEX chunks_of_passage ON chunks (library_id, passage_id);
CREATE TABLE terms (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    id bigint GENERATED BY DEFAULT AS IDENTITY, term text COLLATE "C" NOT NULL,
    PRIMARY KEY (library_id, id), UNIQUE (library_id, term));
CREATE TABLE words (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    id bigint GENERATED BY DEFAULT AS IDENTITY, word text COLLATE "C" NOT NULL,
    term_id bigint NOT NULL, held bigint NOT NULL,
    PRIMARY KEY (library_id, id), UNIQUE (library_id, word, term_id),
    FOREIGN KEY (library_id, term_id) REFERENCES terms ON DELETE CASCADE);
CREATE INDEX words_of_term ON words (library_id, term_id);
CREATE TABLE postings (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    term_id bigint NOT NULL, space int NOT NULL, block int NOT NULL, n int NOT NULL,
    data bytea NOT NULL, PRIMARY KEY (library_id, term_id, space, block),
    FOREIGN KEY (library_id, term_id) REFERENCES terms ON DELETE CASCADE);
ALTER TABLE postings ALTER data SET STORAGE EXTERNAL;
CREATE INDEX postings_of_library ON postings (library_id, space, block);
CREATE TABLE lengths (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    block int NOT NULL, data bytea NOT NULL, PRIMARY KEY (library_id, block));
CREATE TABLE near (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    document_id bigint NOT NULL, other_id bigint NOT NULL, similarity real NOT NULL,
    PRIMARY KEY (library_id, document_id, other_id),
    FOREIGN KEY (library_id, document_id) REFERENCES documents ON DELETE CASCADE,
    FOREIGN KEY (library_id, other_id) REFERENCES documents ON DELETE CASCADE);
CREATE INDEX near_other ON near (library_id, other_id);
CREATE TABLE staged (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    digest bytea NOT NULL, vector halfvec NOT NULL, PRIMARY KEY (library_id, digest));
CREATE TABLE failures (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    root_id bigint NOT NULL,
    path text COLLATE "C" NOT NULL, file text COLLATE "C" NOT NULL, reason text NOT NULL,
    PRIMARY KEY (library_id, root_id, path), FOREIGN KEY (library_id, root_id) REFERENCES roots ON DELETE CASCADE);
-- What was done with a library, from whichever machine: readers add to it, owners read it, nobody changes it.
CREATE TABLE audit (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    number bigint GENERATED ALWAYS AS IDENTITY, time timestamptz NOT NULL DEFAULT clock_timestamp(),
    role text NOT NULL DEFAULT session_user, event text NOT NULL, details text NOT NULL CHECK (length(details) <= 1000000),
    PRIMARY KEY (library_id, number));

ALTER TABLE audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT (library_id, event, details) ON audit TO PUBLIC;
GRANT USAGE ON DOMAIN library TO PUBLIC;

-- Since store 2. `store init` makes this version of an older one by what follows it.
CREATE TABLE facts (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    document_id bigint NOT NULL,
    version text COLLATE "C" NOT NULL, data text NOT NULL, PRIMARY KEY (library_id, document_id),
    FOREIGN KEY (library_id, document_id) REFERENCES documents ON DELETE CASCADE);
CREATE TABLE decided (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    root_id bigint NOT NULL,
    path text COLLATE "C" NOT NULL, file text COLLATE "C" NOT NULL, data text NOT NULL,
    PRIMARY KEY (library_id, root_id, path), FOREIGN KEY (library_id, root_id) REFERENCES roots ON DELETE CASCADE);

-- Since store 3.
CREATE TABLE figures (
    library_id library REFERENCES libraries ON DELETE CASCADE,
    document_id bigint NOT NULL,
    position bigint NOT NULL, start bigint NOT NULL, stop bigint NOT NULL,
    line bigint NOT NULL, line_stop bigint NOT NULL,
    text text NOT NULL, value text NOT NULL, unit text NOT NULL, scale text NOT NULL,
    label text NOT NULL, col text NOT NULL, section text NOT NULL, words text NOT NULL,
    statement text NOT NULL, title text NOT NULL,
    year bigint, month bigint, months bigint, PRIMARY KEY (library_id, document_id, position, start),
    FOREIGN KEY (library_id, document_id) REFERENCES documents ON DELETE CASCADE);

-- Since store 4.
-- Make the index that searches of the opened library's vectors use, unless it is there. It is the library's own: in one
-- for all, a search would pass over the rows of the others first. Everybody sees that it is there, and its size.
CREATE OR REPLACE FUNCTION index_vectors() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = localrag, public, pg_temp AS $$
DECLARE chosen bigint := owned('give it an index'); dimension int;
BEGIN
    -- The lock of those who write to the library: two that make the index at once would get in each other's way.
    PERFORM pg_catalog.pg_advisory_xact_lock(27763, pg_catalog.hashint8(chosen));
    SELECT CAST(CAST(value AS json) ->> 'dimension' AS int) INTO dimension FROM meta WHERE key = 'embedder';
    EXECUTE pg_catalog.format('CREATE INDEX IF NOT EXISTS vectors_%1$s_%2$s ON passages USING hnsw '
        '((vector::halfvec(%2$s)) halfvec_ip_ops) WHERE library_id = %1$s AND vector_dims(vector) = %2$s',
        chosen, dimension);
    EXECUTE pg_catalog.format('ALTER INDEX vectors_%s_%s ALTER 1 SET STATISTICS 0', chosen, dimension);
END $$;
DROP INDEX IF EXISTS failures_of_library, audit_of_library;

-- What follows is done again for each version, for all tables.
DROP POLICY IF EXISTS reading ON audit;
DROP POLICY IF EXISTS adding ON audit;
-- CASE comes before the conditions of whoever asks, since it costs less than any comparison: else EXPLAIN ANALYZE tells by
-- what was never executed, or read, whether another library has a text. The planner uses indexes for the first half.
DO $$
DECLARE name text; columns text; own text := 'library_id = (SELECT *)
    AND CASE WHEN library_id = ANY (ARRAY[(SELECT *)]) THEN true END';
BEGIN
    FOR name IN SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'localrag'::regnamespace
            AND relkind = 'r' AND relname NOT IN ('libraries', 'rights', 'audit') LOOP
        -- Forced, so that it holds for the owner of the tables too. Superusers are refused by localrag.
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('DROP POLICY IF EXISTS reading ON %1$I; DROP POLICY IF EXISTS adding ON %1$I;
            DROP POLICY IF EXISTS changing ON %1$I; DROP POLICY IF EXISTS deleting ON %1$I;
            CREATE POLICY reading ON %1$I FOR SELECT USING (%2$s);
            CREATE POLICY adding ON %1$I FOR INSERT WITH CHECK (library_id = (SELECT writable()));
            CREATE POLICY changing ON %1$I FOR UPDATE USING (%3$s);
            CREATE POLICY deleting ON %1$I FOR DELETE USING (%3$s)',
            name, replace(own, '*', 'readable()'), replace(own, '*', 'writable()'));
        -- Ids are given by the sequences alone: with one of another library, a key that names no library would tell
        -- whether that library has a row, or take its place.
        SELECT string_agg(format('%I', attname), ', ') INTO columns FROM pg_catalog.pg_attribute
            WHERE attrelid = name::regclass AND attnum > 0 AND attname NOT IN ('library_id', 'id');
        EXECUTE format('GRANT SELECT, INSERT (%2$s), UPDATE (%2$s), DELETE ON %1$I TO PUBLIC', name, columns);
    END LOOP;
END $$;
-- The library first in each key: else EXPLAIN, and a key's error, tell that another library has a row.
DO $$
DECLARE change text;
BEGIN
    FOR change IN SELECT format('ALTER TABLE %s DROP CONSTRAINT %I, ADD %s (library_id, %s)', conrelid::regclass, conname,
                CASE contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, string_agg(quote_ident(attname), ', ' ORDER BY at))
            FROM pg_catalog.pg_constraint CROSS JOIN unnest(conkey) WITH ORDINALITY AS key (number, at)
            JOIN pg_catalog.pg_attribute ON attrelid = conrelid AND attnum = number
            WHERE connamespace = 'localrag'::regnamespace AND contype IN ('p', 'u')
            AND conrelid NOT IN ('libraries'::regclass, 'rights'::regclass)
            GROUP BY conrelid, conname, contype HAVING bool_and(attname <> 'library_id') LOOP
        EXECUTE change;
    END LOOP;
END $$;
-- The planner has one set of statistics for the rows of all libraries, and EXPLAIN shows everybody what it makes of
-- them: it keeps none of what libraries hold. Without those of the numbers in keys, joins took a minute
-- (docs/decisions/0074-shared-store-statistics.md). A column whose type is set loses those that are there; the storage
-- is set again, which is lost as well.
DO $$
DECLARE name regclass; changes text;
BEGIN
    FOR name, changes IN SELECT attrelid::regclass, string_agg(
                format('ALTER %1$I SET STATISTICS %2$s', attname, CAST(in_key AS int))
                || CASE WHEN NOT in_key AND attstattarget IS NULL AND typname <> 'halfvec'
                    THEN format(', ALTER %1$I TYPE %2$s %3$s, ALTER %1$I SET STORAGE %4$s', attname, typname,
                        'COLLATE ' || nullif(attcollation, 0)::regcollation, CASE attstorage WHEN 'p' THEN 'PLAIN'
                            WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END)
                    ELSE '' END, ', ')
            FROM pg_catalog.pg_class JOIN pg_catalog.pg_attribute ON attrelid = pg_class.oid
            JOIN pg_catalog.pg_type ON pg_type.oid = atttypid
            CROSS JOIN LATERAL (SELECT (typname = 'library' OR typname IN ('int4', 'int8')) AND EXISTS (
                SELECT FROM pg_catalog.pg_index WHERE indrelid = attrelid AND attnum = ANY (indkey)) AS in_key) AS found
            WHERE relnamespace = 'localrag'::regnamespace AND relrowsecurity AND attnum > 0 AND NOT attisdropped
            GROUP BY attrelid LOOP
        EXECUTE format('ALTER TABLE %s %s', name, changes);
    END LOOP;
    -- A sample large enough to see small libraries is taken for the number of pairs, which is all that is kept of it.
    FOR name, changes IN SELECT attrelid::regclass, format('CREATE STATISTICS IF NOT EXISTS %1$I (ndistinct) '
                'ON library_id, %2$I FROM %3$s; ALTER STATISTICS %1$I SET STATISTICS 100', 'pairs_' || relname,
                min(attname) FILTER (WHERE attname <> 'library_id'), attrelid::regclass)
            FROM pg_catalog.pg_class JOIN pg_catalog.pg_attribute ON attrelid = oid
            WHERE relnamespace = 'localrag'::regnamespace AND relkind = 'r' AND attstattarget = 1
            GROUP BY attrelid, relname HAVING count(*) > 1 LOOP
        EXECUTE changes;
        -- A table that is known to be empty is read whole for each row that refers to it, for as long as the plan is kept.
        IF pg_relation_size(name) > 0 THEN EXECUTE format('ANALYZE %s', name); END IF;
    END LOOP;
    FOR name IN SELECT indexrelid FROM pg_catalog.pg_index
            WHERE indrelid IN (SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = 'localrag'::regnamespace)
            AND indexprs IS NOT NULL LOOP
        EXECUTE format('ALTER INDEX %s ALTER 1 SET STATISTICS 0', name);
    END LOOP;
END $$;
CREATE POLICY reading ON audit FOR SELECT
    USING (library_id = ANY (ARRAY[(SELECT CASE WHEN allowed(readable()) = 3 THEN readable() END)]));
CREATE POLICY adding ON audit FOR INSERT WITH CHECK (library_id = (SELECT readable()) AND role = session_user
    AND (event <> 'right' OR (SELECT allowed(readable())) = 3));
COMMENT ON SCHEMA localrag IS 'localrag store 4';  -- the number of this file, see `postgres.VERSION`
