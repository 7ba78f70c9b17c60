-- Lines of the branches that a file of format 2 has. An import's lineage came after the one that it forked from, if the
-- commit there was made on the same branch. Of branches deleted before there are none.
INSERT INTO line (db, branch) SELECT db, name FROM branch ORDER BY db, name;
INSERT INTO stretch (line, place, lineage)
WITH RECURSIVE run (line, branch, lineage, back) AS (
    SELECT l.id, l.branch, b.own, 0 FROM line l JOIN branch b ON b.db = l.db AND b.name = l.branch
    WHERE b.own IS NOT NULL
    UNION ALL
    SELECT r.line, r.branch, g.parent, r.back + 1 FROM run r JOIN lineage g ON g.id = r.lineage
    JOIN commits c ON c.lineage = g.parent AND c.seq = g.fork_seq AND c.branch = r.branch
    WHERE g.first_seq <> 0
)
SELECT line, max(back) OVER (PARTITION BY line) - back + 1, lineage FROM run;
INSERT OR REPLACE INTO counter (name, value) SELECT 'line', max(id) FROM line HAVING count(*) > 0;
