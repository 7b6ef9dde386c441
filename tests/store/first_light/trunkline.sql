BEGIN TRANSACTION;
CREATE TABLE about (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "about" VALUES('written_by','0.1.0');
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE attempts (
	request TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	"key" TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	cost_centre TEXT NOT NULL, 
	use_case TEXT NOT NULL, 
	end_customer TEXT, 
	deployment TEXT NOT NULL, 
	boundary TEXT NOT NULL, 
	pattern TEXT NOT NULL, 
	operation TEXT NOT NULL, 
	model_asked TEXT NOT NULL, 
	model_sent TEXT NOT NULL, 
	stream BOOLEAN NOT NULL, 
	data_class TEXT NOT NULL, 
	decision TEXT NOT NULL, 
	price_version TEXT NOT NULL, 
	currency TEXT NOT NULL, 
	hold BIGINT NOT NULL, 
	journal TEXT NOT NULL, 
	sequence BIGINT NOT NULL, 
	status TEXT NOT NULL, 
	settled_at BIGINT, 
	http_status INTEGER NOT NULL, 
	tokens_input BIGINT NOT NULL, 
	tokens_cached BIGINT NOT NULL, 
	tokens_cache_write BIGINT NOT NULL, 
	tokens_output BIGINT NOT NULL, 
	tokens_reasoning BIGINT NOT NULL, 
	estimated BOOLEAN NOT NULL, 
	cost BIGINT NOT NULL, 
	model_served TEXT NOT NULL, 
	first_byte BIGINT, 
	latency BIGINT, 
	error TEXT NOT NULL, 
	PRIMARY KEY (request, attempt)
);
INSERT INTO "attempts" VALUES('req_01a2010e2fe02d4d17d97b00000002',1,1795314036704220077,'key_258e779c0dce','finance','CC-1200','chat','customer-0','gpt','vendor','saas','chat','chat','gpt-4.1-mini',0,'internal','chat as internal: 1 allowed, 0 refused; tier 1','estate:50dde91273e8','EUR',65624000,'24c1ab31df6bc50474e73a2c',1,'ok',1795314036708506951,200,7,0,0,5,0,0,17000,'gpt-4.1-mini-2025-04-14',4122302,4183997,'');
INSERT INTO "attempts" VALUES('req_01a2010e2fe52d4d17d97b00000003',1,1795314036709240910,'key_258e779c0dce','finance','CC-1200','chat','customer-1','gpt','vendor','saas','chat','chat','gpt-4.1-mini',0,'internal','chat as internal: 1 allowed, 0 refused; tier 1','estate:50dde91273e8','EUR',65624000,'24c1ab31df6bc50474e73a2c',3,'ok',1795314036709832716,200,7,0,0,5,0,0,17000,'gpt-4.1-mini-2025-04-14',530663,559280,'');
INSERT INTO "attempts" VALUES('req_01a2010e2fe82d4d17d97b00000004',1,1795314036712371482,'key_258e779c0dce','finance','CC-1200','chat','customer-2','gpt','vendor','saas','chat','chat','gpt-4.1-mini',0,'internal','chat as internal: 1 allowed, 0 refused; tier 1','estate:50dde91273e8','EUR',65624000,'24c1ab31df6bc50474e73a2c',5,'ok',1795314036712935662,200,7,0,0,5,0,0,17000,'gpt-4.1-mini-2025-04-14',505341,533716,'');
CREATE TABLE counters (
	name TEXT NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "counters" VALUES('keys',2);
CREATE TABLE drained (
	journal TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	PRIMARY KEY (journal)
);
INSERT INTO "drained" VALUES('24c1ab31df6bc50474e73a2c',1440);
CREATE TABLE keys (
	id TEXT NOT NULL, 
	prefix TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	unit TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	use_cases TEXT NOT NULL, 
	networks TEXT NOT NULL, 
	expires_at BIGINT, 
	revoked_at BIGINT, 
	successor TEXT, 
	label TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (digest)
);
INSERT INTO "keys" VALUES('key_34c3114d069d','tl-XhWsN',X'289D5DCBBAE5050A757C84994AE91BB26C4C14F99253D23D9E1B46A2152EBE0A','acme',1795314035889842812,'[]','[]',NULL,NULL,NULL,'first key');
INSERT INTO "keys" VALUES('key_258e779c0dce','tl-44gU2',X'0412077B79D88B5B47892DC84E7980C1F3FDB7373A04CDF9DE35B590F3959CAE','finance',1795314036567962356,'[]','[]',NULL,NULL,NULL,'kept');
CREATE TABLE strays (
	request TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	settlement BLOB NOT NULL, 
	PRIMARY KEY (request, attempt)
);
CREATE INDEX attempts_at ON attempts (at);
CREATE INDEX attempts_open ON attempts (journal) WHERE settled_at IS NULL;
COMMIT;
