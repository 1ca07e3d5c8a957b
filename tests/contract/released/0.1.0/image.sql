BEGIN TRANSACTION;
CREATE TABLE images (
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(255), 
	owner VARCHAR(64) NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	visibility VARCHAR(16) NOT NULL, 
	disk_format VARCHAR(16), 
	container_format VARCHAR(16), 
	min_disk INTEGER NOT NULL, 
	min_ram INTEGER NOT NULL, 
	size BIGINT, 
	checksum VARCHAR(32), 
	hash_value VARCHAR(128), 
	is_protected BOOLEAN NOT NULL, 
	is_hidden BOOLEAN NOT NULL, 
	tags JSON NOT NULL, 
	properties JSON NOT NULL, 
	upload VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "images" VALUES('i1','disk','dddddddddddddddddddddddddddddddd',1767268800123456,1767268800123456,'active','public','raw','bare',1,2,1099511627776,'c','h',1,1,'["b", "a"]','{"x": "y"}','u');
INSERT INTO "images" VALUES('i2',NULL,'dddddddddddddddddddddddddddddddd',1767268800123456,1767268800123456,'queued','shared',NULL,NULL,0,0,NULL,NULL,NULL,0,0,'[]','{}','');
CREATE INDEX ix_images_owner ON images (owner);
CREATE INDEX ix_images_visibility ON images (visibility);
COMMIT;
PRAGMA user_version=242482360;
