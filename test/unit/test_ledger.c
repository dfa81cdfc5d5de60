/* What would break: an entry that comes back other than it went in, a file of a newer version or of another program
 * that is written to, an entry of a dead process that stays "running" and one of a living that does not, an import that
 * counts twice, a file that kills corrupt. */
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/ledger.h"
#include "../test.h"

static char *file_of(const char *name) { return mem_printf("%s/%s", test_tmp(), name); }

static struct ledger *open_at(struct test *t, const char *path)
{
	struct err e = ERR_INIT;
	struct ledger *l = NULL;
	CHECK_MSG(t, ledger_open(&l, path, LEDGER_WRITE, &e) == 0, "%s", e.msg);
	return l;
}

static void fill(struct entry *x, struct arena *a)
{
	static struct artefact_use uses[] = {
		{ "model",
		  false,
		  { "0123456789abcdef0123456789abcdef", "model", "a.gguf", "/m/a.gguf", NULL, 100, 7, -1 } },
		{ "result", true, { "fedcba9876543210fedcba9876543210", "adapter", "run", "/r", NULL, 10, 2, 5 } },
	};
	entry_init(x);
	entry_identify(x, a);
	x->command = "tune";
	x->argv = "[\"m\",\"--out\",\"r\"]";
	x->gas.seconds = 1.5;
	x->gas.tokens_in = 0;
	x->gas.energy.joules = 12;
	x->gas.energy.method = ENERGY_ESTIMATED;
	strcpy(x->gas.energy.source, "model: x");
	strcpy(x->gas.money.currency, "EUR");
	x->uses = uses;
	x->n_uses = 2;
}

static void check_same(struct test *t, const struct entry *x, const struct entry *y)
{
	json_t *a = entry_json(x, true), *b = entry_json(y, true);
	CHECK(t, json_equal(a, b));
	json_decref(a);
	json_decref(b);
}

static void check_round_trip(struct test *t)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct entries all;
	struct entry x, back;
	char *path = file_of("sub/round.db");

	test_case(t, "an entry comes back as it went in, from the file and from JSON");
	struct ledger *l = open_at(t, path);
	fill(&x, &mem);
	CHECK_MSG(t, ledger_put(l, &x, &e) == 0, "%s", e.msg);
	x.status = "finished";
	x.gas.seconds = 2;
	CHECK_MSG(t, ledger_put(l, &x, &e) == 0, "%s", e.msg);
	CHECK(t, ledger_runs(l, NULL, &all, &e) == 0 && all.n == 1);
	if (all.n == 1) {
		check_same(t, &x, &all.items[0]);
		CHECK(t, isnan(all.items[0].gas.flops) && all.items[0].gas.tokens_out == -1 &&
		                 all.items[0].gas.tokens_in == 0);
		json_t *j = entry_json(&all.items[0], true);
		CHECK_MSG(t, entry_from_json(&back, j, &mem, "here", &e) == 0, "%s", e.msg);
		check_same(t, &x, &back);
		json_decref(j);
	}
	entries_release(&all);
	ledger_close(l);
	arena_release(&mem);
	mem_free(path);
}

static void exec_at(const char *path, const char *sql)
{
	sqlite3 *db;
	if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		abort();
	sqlite3_close(db);
}

static void check_refusals(struct test *t)
{
	struct err e = ERR_INIT;
	struct ledger *l;
	char *newer = file_of("newer.db"), *other = file_of("other.db"), *junk = file_of("junk.db"),
	     *old = file_of("old.db");

	test_case(t, "a newer schema, another program's database and what is none are refused, and unchanged");
	ledger_close(open_at(t, newer));
	exec_at(newer, "PRAGMA user_version = 999");
	CHECK(t, ledger_open(&l, newer, LEDGER_WRITE, &e) < 0 && strstr(e.msg, "newer kungfu"));
	exec_at(other, "CREATE TABLE mine(x)");
	CHECK(t, ledger_open(&l, other, LEDGER_WRITE, &e) < 0 && strstr(e.msg, "something else"));
	io_write(junk, "this is a text, and a rather long one for that matter", 53, &e);
	CHECK(t, ledger_open(&l, junk, LEDGER_WRITE, &e) < 0 && strstr(e.msg, "junk.db"));
	CHECK(t, ledger_open(&l, "/dev/null/x.db", LEDGER_WRITE, &e) < 0);
	CHECK(t, ledger_open(&l, "/nowhere/x.db", LEDGER_READ, &e) < 0 && strstr(e.msg, "no ledger"));

	test_case(t, "an older file gets the columns that it lacks");
	ledger_close(open_at(t, old));
	exec_at(old, "ALTER TABLE run DROP COLUMN mean_rss_bytes; INSERT INTO run(id, command, status) VALUES('one', "
	             "'tune', 'finished'); PRAGMA user_version = 0");
	struct entries all = { 0 };
	l = open_at(t, old);
	CHECK_MSG(t, l && ledger_runs(l, NULL, &all, &e) == 0 && all.n == 1 && all.items[0].gas.mean_rss_bytes == -1,
	          "%s", e.msg);
	entries_release(&all);
	ledger_close(l);
	mem_free(newer);
	mem_free(other);
	mem_free(junk);
	mem_free(old);
}

/* Status of the only run whose id begins so. */
static void check_status(struct test *t, struct ledger *l, const char *id, const char *status)
{
	struct err e = ERR_INIT;
	struct entries all;
	struct ledger_filter f = { .id = id };
	CHECK(t, ledger_runs(l, &f, &all, &e) == 0 && all.n == 1);
	if (all.n == 1)
		CHECK_MSG(t, !strcmp(all.items[0].status, status), "%s, %s was wanted", all.items[0].status, status);
	entries_release(&all);
}

static void check_dead(struct test *t)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct entry living, gone, reused, rebooted, elsewhere;
	char *path = file_of("dead.db");

	test_case(t, "the next process closes entries of dead ones, and no others");
	struct ledger *l = open_at(t, path);
	fill(&living, &mem);
	fill(&gone, &mem);
	gone.pid = 0x7ffffff0;
	fill(&reused, &mem);
	reused.pid_start--;
	fill(&rebooted, &mem);
	rebooted.boot = "another";
	fill(&elsewhere, &mem);
	elsewhere.boot = "another";
	elsewhere.machine = "another";
	struct entry *all[] = { &living, &gone, &reused, &rebooted, &elsewhere };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		CHECK(t, ledger_put(l, all[i], &e) == 0);
	ledger_close(l);
	l = open_at(t, path);
	check_status(t, l, living.id, "running");
	check_status(t, l, gone.id, "killed");
	check_status(t, l, reused.id, "killed");
	check_status(t, l, rebooted.id, "killed");
	check_status(t, l, elsewhere.id, "running");
	ledger_close(l);
	arena_release(&mem);
	mem_free(path);
}

/* Writes entries until it is killed, and tells each by a byte. */
static void write_for_ever(const char *path, int told)
{
	struct err e = ERR_INIT;
	struct ledger *l;

	for (;;) {
		struct arena mem = ARENA_INIT;
		struct entry x;
		if (ledger_open(&l, path, LEDGER_WRITE, &e) < 0)
			_exit(1);
		fill(&x, &mem);
		for (int i = 0; i < 20; i++)
			if (ledger_put(l, &x, &e) < 0 || write(told, "", 1) != 1)
				_exit(1);
		ledger_close(l);
		arena_release(&mem);
	}
}

static void read_bytes(int from, int n)
{
	char byte;

	while (n > 0 && read(from, &byte, 1) == 1)
		n--;
}

static void say_nothing(void *ctx, const char *finding)
{
	(void)ctx;
	printf("  %s\n", finding);
}

static void check_torture(struct test *t)
{
	struct err e = ERR_INIT;
	struct entries all = { 0 };
	char *path = file_of("torture.db");
	size_t findings = 1;
	bool failed = false;

	test_case(t, "three writers at once, killed again and again: the file stays whole and nothing stays running");
	ledger_close(open_at(t, path));
	fflush(stdout);
	for (int round = 0; round < 12; round++) {
		pid_t child[3];
		int status, told[2];
		CHECK(t, pipe(told) == 0);
		for (int i = 0; i < 3; i++)
			if ((child[i] = fork()) == 0)
				write_for_ever(path, told[1]);
		close(told[1]);
		read_bytes(told[0], 5 + 7 * round);
		for (int i = 0; i < 3; i++) {
			kill(child[i], SIGKILL);
			waitpid(child[i], &status, 0);
			failed |= !WIFSIGNALED(status);
		}
		close(told[0]);
	}
	CHECK(t, !failed);
	struct ledger *l = open_at(t, path);
	CHECK(t, ledger_check(l, say_nothing, NULL, &findings, &e) == 0 && findings == 0);
	CHECK(t, ledger_runs(l, NULL, &all, &e) == 0 && all.n > 0);
	for (size_t i = 0; i < all.n; i++)
		CHECK(t, !strcmp(all.items[i].status, "killed"));
	entries_release(&all);
	ledger_close(l);
	mem_free(path);
}

/* Children of one test do what would spoil the process: their verdict is their exit status. */
static int in_child(void (*run)(const char *path), const char *path)
{
	int status;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		run(path);
		_exit(9);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/* The first put is good, then the disk is full: every later one says so, and the entry that was there stays. */
static void fill_disk(const char *path)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct entry x;
	struct ledger *l;
	struct rlimit none = { 0, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	if (ledger_open(&l, path, LEDGER_WRITE, &e) < 0)
		_exit(1);
	fill(&x, &mem);
	if (ledger_put(l, &x, &e) < 0 || setrlimit(RLIMIT_FSIZE, &none))
		_exit(2);
	for (int i = 0; i < 3; i++) {
		struct err full = ERR_INIT;
		x.gas.seconds = 100 + i;
		if (ledger_put(l, &x, &full) == 0 || !strstr(full.msg, path))
			_exit(3);
	}
	ledger_close(l);
	_exit(0);
}

static void check_full_disk(struct test *t)
{
	struct err e = ERR_INIT;
	struct entries all;
	char *path = file_of("full.db"), *kept = file_of("gas.json");
	size_t findings = 1, added, known;

	test_case(t, "a disk that fills while a run goes on: a sentence, a whole file, and the entry as it was last "
	             "written");
	int status = in_child(fill_disk, path);
	CHECK_MSG(t, status == 0, "%d", status);
	struct ledger *l = open_at(t, path);
	CHECK(t, ledger_check(l, say_nothing, NULL, &findings, &e) == 0 && findings == 0);
	CHECK(t, ledger_runs(l, NULL, &all, &e) == 0 && all.n == 1);
	if (all.n == 1) {
		struct entry *x = &all.items[0];
		CHECK_MSG(t, !strcmp(x->status, "killed") && x->gas.seconds == 1.5, "%s, %g s", x->status,
		          x->gas.seconds);

		test_case(t, "its entry, kept elsewhere, takes that one's place when it is imported, once and again");
		x->status = "finished";
		x->gas.seconds = 7;
		json_t *j = entry_json(x, true);
		CHECK(t, jsonx_write_file(kept, j, &e) == 0);
		json_decref(j);
		CHECK_MSG(t, ledger_import(l, kept, &added, &known, &e) == 0 && added == 0 && known == 1, "%s", e.msg);
		CHECK_MSG(t, ledger_import(l, kept, &added, &known, &e) == 0 && added == 0 && known == 1, "%s", e.msg);
		check_status(t, l, x->id, "finished");
	}
	entries_release(&all);
	CHECK(t, ledger_runs(l, NULL, &all, &e) == 0 && all.n == 1 && all.items[0].gas.seconds == 7);
	entries_release(&all);
	ledger_close(l);
	mem_free(path);
	mem_free(kept);
}

static void check_gone(struct test *t)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct entry x;
	char *path = file_of("gone.db"), *other = file_of("gone-elsewhere.db");

	test_case(t, "a ledger that is deleted or replaced while a run goes on is noticed: nothing is written where "
	             "nobody looks");
	struct ledger *l = open_at(t, path);
	fill(&x, &mem);
	CHECK(t, ledger_put(l, &x, &e) == 0);
	CHECK(t, rename(path, other) == 0);
	CHECK(t, ledger_put(l, &x, &e) < 0 && strstr(e.msg, "moved"));
	ledger_close(open_at(t, path));
	CHECK(t, ledger_put(l, &x, &e) < 0);
	ledger_close(l);
	arena_release(&mem);
	mem_free(path);
	mem_free(other);
}

static void check_newer_meanwhile(struct test *t)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct entry x;
	struct ledger *l;
	char *path = file_of("meanwhile.db");
	size_t added, known;

	test_case(t, "a ledger that a newer program migrates while it is open still takes this run's entry; the next "
	             "one is refused, imports too");
	l = open_at(t, path);
	fill(&x, &mem);
	CHECK(t, ledger_put(l, &x, &e) == 0);
	exec_at(path, "ALTER TABLE run ADD COLUMN tomorrow TEXT; PRAGMA user_version = 99");
	x.gas.seconds = 3;
	CHECK_MSG(t, ledger_put(l, &x, &e) == 0, "%s", e.msg);
	ledger_close(l);
	CHECK(t, ledger_open(&l, path, LEDGER_WRITE, &e) < 0 && strstr(e.msg, "newer kungfu"));
	char *mine = file_of("mine.db");
	l = open_at(t, mine);
	CHECK(t, ledger_import(l, path, &added, &known, &e) < 0 && strstr(e.msg, "newer kungfu"));
	ledger_close(l);
	mem_free(mine);
	mem_free(path);
	arena_release(&mem);
}

/* Two machines' runs and artefacts into one: by database, by lines, in both directions, again and again. */
static void check_merge(struct test *t)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct entries all;
	struct artefacts artefacts;
	struct entry x;
	char *names[2] = { file_of("one.db"), file_of("two.db") };
	size_t added, known;

	test_case(t, "two machines' ledgers in one, in both directions and twice: each run once, each artefact once, "
	             "requests with them");
	for (int i = 0; i < 2; i++) {
		struct ledger *l = open_at(t, names[i]);
		for (int k = 0; k < 3; k++) {
			fill(&x, &mem);
			x.machine = i ? "this" : "that";
			x.status = "finished";
			x.requests = "[{\"request\": 0, \"seconds\": 1}]";
			CHECK(t, ledger_put(l, &x, &e) == 0);
		}
		ledger_close(l);
	}
	for (int round = 0; round < 4; round++) {
		struct ledger *l = open_at(t, names[round % 2]);
		CHECK_MSG(t, ledger_import(l, names[1 - round % 2], &added, &known, &e) == 0, "%s", e.msg);
		CHECK_MSG(t, added == (round < 2 ? 3U : 0U), "round %d: %zu added, %zu known", round, added, known);
		ledger_close(l);
	}
	for (int i = 0; i < 2; i++) {
		struct ledger *l = open_at(t, names[i]);
		CHECK(t, ledger_runs(l, NULL, &all, &e) == 0 && all.n == 6 && all.items[0].requests &&
		                 strstr(all.items[0].requests, "\"request\""));
		CHECK(t, ledger_artefacts(l, &artefacts, &e) == 0 && artefacts.n == 2);
		entries_release(&all);
		artefacts_release(&artefacts);
		ledger_close(l);
		mem_free(names[i]);
	}
	arena_release(&mem);
}

/* Kinds that no command makes yet are there all the same. */
static void check_kinds(struct test *t)
{
	struct err e = ERR_INIT;
	char *path = file_of("kinds.db");
	size_t findings = 1;

	test_case(t, "every kind of artefact is taken and found whole; one that does not exist is found by the check");
	struct ledger *l = open_at(t, path);
	for (const char *const *k = artefact_kinds; *k; k++)
		CHECK(t,
		      ledger_put_artefact(l,
		                          &(struct artefact){
						  .hash = *k, .kind = *k, .bytes = -1, .parameters = -1, .tokens = -1 },
		                          &e) == 0);
	CHECK(t, ledger_check(l, say_nothing, NULL, &findings, &e) == 0 && findings == 0);
	CHECK(t, ledger_put_artefact(l, &(struct artefact){ .hash = "x", .kind = "spoon" }, &e) == 0);
	CHECK(t, ledger_check(l, say_nothing, NULL, &findings, &e) == 0 && findings == 1);
	ledger_close(l);
	mem_free(path);
}

void test_ledger(struct test *t)
{
	check_torture(t);
	check_full_disk(t);
	check_gone(t);
	check_newer_meanwhile(t);
	check_merge(t);
	check_kinds(t);
	check_round_trip(t);
	check_refusals(t);
	check_dead(t);
}
