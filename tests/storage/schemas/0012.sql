BEGIN TRANSACTION;
CREATE TABLE attempt (
	id VARCHAR NOT NULL, 
	run_id VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	status VARCHAR NOT NULL, 
	reason VARCHAR, 
	error VARCHAR, 
	started BIGINT NOT NULL, 
	heartbeat BIGINT NOT NULL, 
	ended BIGINT, 
	first_epoch INTEGER, 
	host VARCHAR NOT NULL, 
	boot_id VARCHAR NOT NULL, 
	pid_namespace VARCHAR NOT NULL, 
	pid INTEGER NOT NULL, 
	process_started FLOAT NOT NULL, 
	captured VARCHAR NOT NULL, 
	spooled INTEGER NOT NULL, 
	dropped INTEGER NOT NULL, waited FLOAT DEFAULT '0' NOT NULL, cause VARCHAR, heard BIGINT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE, 
	UNIQUE (run_id, number)
);
INSERT INTO "attempt" VALUES('bf4b36bffc38','14bf1966d5f9',1,'finished',NULL,NULL,1795544376228322,1795544376318382,1795544376317086,NULL,'vm','7c1a2d7e-0000-4000-8000-000000000001','pid:[4026531836]',7984,513.87,'{"command":["python","make.py"],"python":"3.11.7","machine":{"system":"Linux","processor":"x86_64","cores":2,"memory_bytes":25276514304},"packages":{"keras":"3.15.1","local-tracker":"0.1.0","numpy":"2.4.6","pandas":"3.1.1","scikit-learn":"1.9.1","scipy":"1.17.1","tensorflow-cpu":"2.21.0","torch":"2.13.0+cpu"},"git":null,"checkpoint_folders":["."]}',0,0,0.0,NULL,NULL);
INSERT INTO "attempt" VALUES('e0bfaed02ea3','ace5311a277f',1,'finished','the run went on at an earlier epoch',NULL,1795544376393862,1795544376393862,1795544376430833,NULL,'vm','7c1a2d7e-0000-4000-8000-000000000001','pid:[4026531836]',7984,513.87,'{"command":["python","make.py"],"python":"3.11.7","machine":{"system":"Linux","processor":"x86_64","cores":2,"memory_bytes":25276514304},"packages":{"keras":"3.15.1","local-tracker":"0.1.0","numpy":"2.4.6","pandas":"3.1.1","scikit-learn":"1.9.1","scipy":"1.17.1","tensorflow-cpu":"2.21.0","torch":"2.13.0+cpu"},"git":null}',0,0,0.0,NULL,NULL);
INSERT INTO "attempt" VALUES('1dd3807b1830','ace5311a277f',2,'stopped_early','enough',NULL,1795544376430833,1795544376467065,1795544376466889,0,'vm','7c1a2d7e-0000-4000-8000-000000000001','pid:[4026531836]',7984,513.87,'{"command":["python","make.py"],"python":"3.11.7","machine":{"system":"Linux","processor":"x86_64","cores":2,"memory_bytes":25276514304},"packages":{"keras":"3.15.1","local-tracker":"0.1.0","numpy":"2.4.6","pandas":"3.1.1","scikit-learn":"1.9.1","scipy":"1.17.1","tensorflow-cpu":"2.21.0","torch":"2.13.0+cpu"},"git":null}',0,0,0.0,NULL,NULL);
CREATE TABLE block (
	series_id INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	points INTEGER NOT NULL, 
	first_step BIGINT NOT NULL, 
	last_step BIGINT NOT NULL, 
	payload BLOB NOT NULL, 
	PRIMARY KEY (series_id, attempt, number), 
	FOREIGN KEY(series_id) REFERENCES series (id) ON DELETE CASCADE
);
INSERT INTO "block" VALUES(1,1,0,3,0,14,X'5453011203000000000000004DA46DA80000003F0000C07F0000807F');
INSERT INTO "block" VALUES(2,1,0,3,0,14,X'545301120300000000000000FF05BDF2000000800000008000000080');
CREATE TABLE checkpoint (
	id VARCHAR NOT NULL, 
	run_id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	policy_id VARCHAR, 
	path VARCHAR NOT NULL, 
	bytes BIGINT NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	epoch INTEGER, 
	step BIGINT, 
	monitor VARCHAR, 
	value FLOAT, 
	value_kind VARCHAR, 
	metrics VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	pending BOOLEAN NOT NULL, 
	pinned BOOLEAN NOT NULL, 
	created BIGINT NOT NULL, original_path VARCHAR, kept VARCHAR, 
	PRIMARY KEY (id), 
	FOREIGN KEY(policy_id) REFERENCES policy (id), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "checkpoint" VALUES('ef1780d516fb','14bf1966d5f9',1,NULL,'last.bin',7,'9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c',2,NULL,'val_loss',0.25,'finite','{}','available',0,0,1795544376307919,NULL,NULL);
CREATE TABLE clock (
	run_id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	calls INTEGER NOT NULL, 
	first_step BIGINT NOT NULL, 
	last_step BIGINT NOT NULL, 
	started BIGINT NOT NULL, 
	final BOOLEAN NOT NULL, 
	payload BLOB NOT NULL, 
	PRIMARY KEY (run_id, attempt, number), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "clock" VALUES('14bf1966d5f9',1,0,3,0,14,1795544376263222,0,X'545301190300000018000000D05702B7000000000000000007000000000000000E0000000000000036C2B9C009610600CE2EBAC009610600683BBAC009610600');
CREATE TABLE decision (
	id INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	policy_id VARCHAR NOT NULL, 
	epoch INTEGER NOT NULL, 
	step BIGINT, 
	monitor VARCHAR, 
	value FLOAT, 
	value_kind VARCHAR, 
	best FLOAT, 
	best_kind VARCHAR, 
	best_epoch INTEGER, 
	wait INTEGER, 
	verdict VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	lr_before FLOAT, 
	lr_after FLOAT, 
	path VARCHAR, 
	state VARCHAR, 
	decided BIGINT NOT NULL, 
	superseded BOOLEAN NOT NULL, cause VARCHAR, 
	PRIMARY KEY (id), 
	FOREIGN KEY(policy_id) REFERENCES policy (id), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE, 
	UNIQUE (run_id, attempt, number)
);
INSERT INTO "decision" VALUES(1,'14bf1966d5f9',1,1,'e8b6b4011d62',0,NULL,'val_loss',0.5,'finite',0.25,'finite',0,0,'improved','epoch 0',NULL,NULL,NULL,'{"wait":0}',1795544376284175,0,NULL);
INSERT INTO "decision" VALUES(2,'14bf1966d5f9',1,2,'e8b6b4011d62',1,NULL,'val_loss',NULL,'nan',0.25,'finite',0,1,'waited','epoch 1',NULL,NULL,NULL,'{"wait":1}',1795544376293380,0,NULL);
INSERT INTO "decision" VALUES(3,'14bf1966d5f9',1,3,'e8b6b4011d62',2,NULL,'val_loss',1e999,'+inf',0.25,'finite',0,2,'waited','epoch 2',NULL,NULL,NULL,'{"wait":2}',1795544376298958,0,NULL);
CREATE TABLE epoch (
	id INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	started BIGINT NOT NULL, 
	seconds FLOAT NOT NULL, 
	learning_rate FLOAT, 
	superseded BOOLEAN NOT NULL, step BIGINT, learning_rates VARCHAR, checksum BIGINT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE, 
	UNIQUE (run_id, attempt, epoch)
);
INSERT INTO "epoch" VALUES(1,'14bf1966d5f9',1,0,1795544376257721,5.52995800001099269138e-03,0.001,0,NULL,NULL,NULL);
INSERT INTO "epoch" VALUES(2,'14bf1966d5f9',1,1,1795544376263255,2.7807444000018222141e-02,0.001,0,NULL,NULL,NULL);
INSERT INTO "epoch" VALUES(3,'14bf1966d5f9',1,2,1795544376291064,3.21176299996750458376e-03,0.001,0,NULL,NULL,NULL);
INSERT INTO "epoch" VALUES(4,'ace5311a277f',1,0,1795544376402286,3.73060000811165082268e-05,NULL,1,NULL,NULL,NULL);
INSERT INTO "epoch" VALUES(5,'ace5311a277f',2,0,1795544376430770,9.26183399997171363793e-03,NULL,0,NULL,NULL,NULL);
CREATE TABLE "fact" (
	run_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	number FLOAT, 
	PRIMARY KEY (run_id, name), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "fact" VALUES('14bf1966d5f9','checkpoint_folders','json','["."]',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','command','json','["python","make.py"]',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','git','none','',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','machine.cores','int','2',2.0);
INSERT INTO "fact" VALUES('14bf1966d5f9','machine.memory_bytes','int','25276514304',25276514304.0);
INSERT INTO "fact" VALUES('14bf1966d5f9','machine.processor','str','x86_64',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','machine.system','str','Linux',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','packages.keras','str','3.15.1',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','packages.local-tracker','str','0.1.0',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','packages.numpy','str','2.4.6',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','packages.pandas','str','3.1.1',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','packages.scikit-learn','str','1.9.1',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','packages.scipy','str','1.17.1',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','packages.tensorflow-cpu','str','2.21.0',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','packages.torch','str','2.13.0+cpu',NULL);
INSERT INTO "fact" VALUES('14bf1966d5f9','python','str','3.11.7',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','command','json','["python","make.py"]',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','git','none','',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','machine.cores','int','2',2.0);
INSERT INTO "fact" VALUES('ace5311a277f','machine.memory_bytes','int','25276514304',25276514304.0);
INSERT INTO "fact" VALUES('ace5311a277f','machine.processor','str','x86_64',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','machine.system','str','Linux',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','packages.keras','str','3.15.1',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','packages.local-tracker','str','0.1.0',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','packages.numpy','str','2.4.6',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','packages.pandas','str','3.1.1',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','packages.scikit-learn','str','1.9.1',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','packages.scipy','str','1.17.1',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','packages.tensorflow-cpu','str','2.21.0',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','packages.torch','str','2.13.0+cpu',NULL);
INSERT INTO "fact" VALUES('ace5311a277f','python','str','3.11.7',NULL);
CREATE TABLE "former_param" (
	run_id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	number FLOAT, 
	PRIMARY KEY (run_id, attempt, name), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
CREATE TABLE "metric" (
	epoch_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	value FLOAT, 
	value_kind VARCHAR NOT NULL, 
	PRIMARY KEY (epoch_id, name), 
	FOREIGN KEY(epoch_id) REFERENCES epoch (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "metric" VALUES(1,'loss',0,0.5,'finite');
INSERT INTO "metric" VALUES(1,'val_loss',1,0.25,'finite');
INSERT INTO "metric" VALUES(2,'loss',0,NULL,'nan');
INSERT INTO "metric" VALUES(2,'val_loss',1,NULL,'nan');
INSERT INTO "metric" VALUES(3,'loss',0,1e999,'+inf');
INSERT INTO "metric" VALUES(3,'val_loss',1,1e999,'+inf');
INSERT INTO "metric" VALUES(4,'loss',0,1.0,'finite');
INSERT INTO "metric" VALUES(5,'loss',0,0.9,'finite');
CREATE TABLE "metric_definition" (
	run_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	mode VARCHAR, 
	source VARCHAR NOT NULL, 
	monitor BOOLEAN NOT NULL, 
	PRIMARY KEY (run_id, name), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
CREATE TABLE "param" (
	run_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	number FLOAT, 
	PRIMARY KEY (run_id, name), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "param" VALUES('14bf1966d5f9','big','int','1180591620717411303424',1.18059162071741130344e+21);
INSERT INTO "param" VALUES('14bf1966d5f9','layers','json','[64,10]',NULL);
INSERT INTO "param" VALUES('14bf1966d5f9','lr','float','0.001',0.001);
CREATE TABLE policy (
	id VARCHAR NOT NULL, 
	run_id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	monitor VARCHAR, 
	rules VARCHAR, 
	config VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "policy" VALUES('e8b6b4011d62','14bf1966d5f9',1,1,'EarlyStopping','val_loss','keras-3.15','{"patience":2}');
CREATE TABLE remote_copy (
	checkpoint_id VARCHAR NOT NULL, 
	url VARCHAR NOT NULL, 
	bytes BIGINT NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	uploaded BIGINT NOT NULL, 
	verified BIGINT NOT NULL, 
	PRIMARY KEY (checkpoint_id, url), 
	FOREIGN KEY(checkpoint_id) REFERENCES checkpoint (id) ON DELETE CASCADE
);
CREATE TABLE "run" (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	experiment VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	reason VARCHAR, 
	error VARCHAR, 
	started BIGINT NOT NULL, 
	ended BIGINT, 
	seconds FLOAT NOT NULL, 
	epochs INTEGER NOT NULL, 
	parent_id VARCHAR, 
	note VARCHAR, 
	cause VARCHAR, 
	price_per_hour FLOAT, 
	judged_by VARCHAR DEFAULT 'val_loss' NOT NULL, 
	judged_min FLOAT, 
	judged_max FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(parent_id) REFERENCES run (id)
)
 WITHOUT ROWID

;
INSERT INTO "run" VALUES('14bf1966d5f9','whole','digits','finished',NULL,NULL,1795544376222108,1795544376317086,3.65491649999967194162e-02,3,NULL,NULL,NULL,NULL,'val_loss',0.25,1e999);
INSERT INTO "run" VALUES('ace5311a277f','child','digits','stopped_early','enough',NULL,1795544376393131,1795544376466889,0.00929914000005283,1,'14bf1966d5f9',NULL,NULL,NULL,'val_loss',NULL,NULL);
CREATE TABLE series (
	id INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE, 
	UNIQUE (run_id, name)
);
INSERT INTO "series" VALUES(1,'14bf1966d5f9','batch/loss');
INSERT INTO "series" VALUES(2,'14bf1966d5f9','grad');
CREATE TABLE sparse_block (
	run_id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	points INTEGER NOT NULL, 
	first_step BIGINT NOT NULL, 
	last_step BIGINT NOT NULL, 
	members BLOB NOT NULL, 
	payload BLOB NOT NULL, 
	PRIMARY KEY (run_id, attempt, number), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
CREATE TABLE sparse_span (
	series_id INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	first_step BIGINT NOT NULL, 
	last_step BIGINT NOT NULL, 
	PRIMARY KEY (series_id, attempt), 
	FOREIGN KEY(series_id) REFERENCES series (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
CREATE TABLE "summary" (
	run_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	last FLOAT, 
	last_kind VARCHAR NOT NULL, 
	last_epoch INTEGER, 
	min FLOAT, 
	min_epoch INTEGER, 
	max FLOAT, 
	max_epoch INTEGER, 
	last_step BIGINT, 
	min_step BIGINT, 
	max_step BIGINT, 
	PRIMARY KEY (run_id, name), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "summary" VALUES('14bf1966d5f9','batch/loss',1e999,'+inf',NULL,0.5,NULL,1e999,NULL,14,0,14);
INSERT INTO "summary" VALUES('14bf1966d5f9','grad',0.0,'-0',NULL,0.0,NULL,0.0,NULL,14,0,0);
INSERT INTO "summary" VALUES('14bf1966d5f9','loss',1e999,'+inf',2,0.5,0,1e999,2,NULL,NULL,NULL);
INSERT INTO "summary" VALUES('14bf1966d5f9','val_loss',1e999,'+inf',2,0.25,0,1e999,2,NULL,NULL,NULL);
INSERT INTO "summary" VALUES('ace5311a277f','loss',0.9,'finite',0,0.9,0,0.9,0,NULL,NULL,NULL);
CREATE TABLE "tag" (
	run_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, name), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "tag" VALUES('14bf1966d5f9','team','a');
CREATE TABLE tracker_schema_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT tracker_schema_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "tracker_schema_version" VALUES('0012');
CREATE INDEX ix_attempt_status ON attempt (status);
CREATE INDEX ix_policy_run_id ON policy (run_id);
CREATE INDEX ix_checkpoint_path ON checkpoint (path);
CREATE INDEX ix_checkpoint_run_id ON checkpoint (run_id);
CREATE INDEX ix_decision_policy ON decision (policy_id, epoch);
CREATE INDEX ix_decision_restored ON decision (run_id) WHERE verdict = 'restored';
CREATE INDEX ix_checkpoint_original_path ON checkpoint (original_path);
CREATE INDEX ix_checkpoint_pending ON checkpoint (run_id) WHERE pending IS 1;
CREATE INDEX ix_param_name_number ON param (name, number, kind);
CREATE INDEX ix_tag_name_value ON tag (name, value);
CREATE INDEX ix_summary_name_min ON summary (name, min);
CREATE INDEX ix_summary_name_last ON summary (name, last);
CREATE INDEX ix_summary_name_max ON summary (name, max);
CREATE INDEX ix_metric_definition_said ON metric_definition (name, source, mode);
CREATE INDEX ix_fact_name ON fact (name);
CREATE INDEX ix_run_started ON run (started);
CREATE INDEX ix_run_parent_id ON run (parent_id);
CREATE INDEX ix_run_experiment ON run (experiment);
CREATE INDEX ix_run_name ON run (name);
CREATE INDEX ix_run_status ON run (status);
COMMIT;
