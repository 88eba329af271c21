-- As a notary this server hands on what another server once published, even after that server forgot one of its keys: a
-- document stays as long as it is the last that had some key (server_keys.fetched_ms says which), the newest ones in any case.
ALTER TABLE server_key_documents DROP CONSTRAINT server_key_documents_pkey;
ALTER TABLE server_key_documents ADD PRIMARY KEY (server_name, fetched_ms);
