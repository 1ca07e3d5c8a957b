BEGIN TRANSACTION;
CREATE TABLE facts (
	id INTEGER NOT NULL, 
	what VARCHAR(32) NOT NULL, 
	wall FLOAT NOT NULL, 
	monotonic FLOAT NOT NULL, 
	who VARCHAR(32) NOT NULL, 
	server VARCHAR(64), 
	port VARCHAR(64), 
	generation VARCHAR(64), 
	attempt INTEGER, 
	host VARCHAR(255), 
	detail VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "facts" VALUES(1,'plugged',1.76726880012345600005e+15,1.5,'compute','s1','p1','11111111111111111111111111111111',1,'h1','tap');
INSERT INTO "facts" VALUES(2,'dhcp_ready',1.76726880012345600005e+15,2.5,'network',NULL,'p1',NULL,NULL,NULL,'');
CREATE INDEX facts_server ON facts (server);
CREATE INDEX facts_port ON facts (port);
COMMIT;
PRAGMA user_version=390646888;
