-- Learn: the version, if it says something about any item.
SELECT k.knowledge_version
FROM liber.knowledge_version AS k
WHERE
    k.knowledge_version = :knowledge_version
    AND EXISTS (SELECT FROM liber.item_knowledge AS i WHERE i.knowledge_version = k.knowledge_version)
