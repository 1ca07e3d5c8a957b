BEGIN TRANSACTION;
CREATE TABLE domains (
	id VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	description VARCHAR NOT NULL, 
	is_enabled BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "domains" VALUES('default','Default','the first',1);
CREATE TABLE grants (
	user_id VARCHAR(64) NOT NULL, 
	role_id VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	target_id VARCHAR(64) NOT NULL, 
	PRIMARY KEY (user_id, role_id, kind, target_id), 
	FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	FOREIGN KEY(role_id) REFERENCES roles (id) ON DELETE CASCADE
);
INSERT INTO "grants" VALUES('uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu','r1','project','dddddddddddddddddddddddddddddddd');
INSERT INTO "grants" VALUES('uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu','r1','system','all');
CREATE TABLE projects (
	id VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	domain_id VARCHAR(64) NOT NULL, 
	description VARCHAR NOT NULL, 
	is_enabled BOOLEAN NOT NULL, 
	parent_id VARCHAR(64) NOT NULL, 
	tags JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (domain_id, name), 
	FOREIGN KEY(domain_id) REFERENCES domains (id) ON DELETE CASCADE
);
INSERT INTO "projects" VALUES('dddddddddddddddddddddddddddddddd','demo','default','a project',1,'default','["b", "a"]');
CREATE TABLE revocations (
	subject VARCHAR(255) NOT NULL, 
	issued_before BIGINT NOT NULL, 
	until BIGINT NOT NULL, 
	PRIMARY KEY (subject)
);
INSERT INTO "revocations" VALUES('user:uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu',1767268800123456,1767355200123456);
CREATE TABLE roles (
	id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "roles" VALUES('r1','member','may');
CREATE TABLE users (
	id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	domain_id VARCHAR(64) NOT NULL, 
	password_hash VARCHAR, 
	is_enabled BOOLEAN NOT NULL, 
	email VARCHAR, 
	description VARCHAR, 
	default_project_id VARCHAR(64), 
	PRIMARY KEY (id), 
	UNIQUE (domain_id, name), 
	FOREIGN KEY(domain_id) REFERENCES domains (id) ON DELETE CASCADE
);
INSERT INTO "users" VALUES('uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu','alice','default','hash',1,'a@example.org','ä','dddddddddddddddddddddddddddddddd');
CREATE INDEX ix_revocations_until ON revocations (until);
CREATE INDEX ix_grants_target_id ON grants (target_id);
COMMIT;
PRAGMA user_version=1736811241;
