/* test_feedback: what people said, kept: the same bytes twice are one item, other bytes another version; a label comes
 * back as it was said, once, and one that cannot be saved leaves the file as it was; undo takes the last back and shows
 * its item again; who is let in; several processes write, one serves; files of other kinds are a sentence. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "feedback/store_parts.h"

static const struct feedback_study study = { .ask = ASK_COMPARE, .n_answers = 2, .instructions = "be fair",
	                                     .labels = (const char *const[]){ "good", "bad", NULL }, .scale = 5,
	                                     .gold_share = 0.05, .repeat_share = 0.1, .labels_per_item = 3,
	                                     .wage = 12.5, .model_hash = "abc" };

static struct feedback_item item_of(const char *prompt, const char *first, const char *second)
{
	return (struct feedback_item){ .prompt = prompt, .n = 2, .answers = { first, second }, .gold = FEEDBACK_NONE };
}

static struct feedback_label label_of(const char *key, int64_t item, int64_t rater, int winner)
{
	struct feedback_label l = { .key = key, .item = item, .rater = rater, .winner = winner,
		                    .edited_answer = FEEDBACK_NONE, .seconds = 3.5,
		                    .shown = { 1, 0, -1, -1, -1, -1, -1, -1 } };

	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		l.rating[i] = NAN;
	return l;
}

static struct feedback *make(struct test *t, const char *name, char **path)
{
	struct feedback *f = NULL;
	struct err e = ERR_INIT;

	*path = io_join(test_tmp(), name);
	bool fine = feedback_create(*path, &study, &e) == 0 && feedback_open(&f, *path, true, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	return f;
}

static size_t labels_in(struct feedback *f)
{
	size_t items, labels = 99, raters;

	feedback_count(f, &items, &labels, &raters, NULL);
	return labels;
}

static void items(struct test *t)
{
	struct err e = ERR_INIT;
	struct arena mem = ARENA_INIT;
	struct feedback_item *all, a = item_of("\"2 + 2?\"", "4", "5"), b = a, other = a;
	char *path;
	int64_t id, again, second;
	size_t n;

	test_case(t, "the same bytes are one item, whatever the order of a message's keys; others another version");
	struct feedback *f = make(t, "items.db", &path);
	a.prompt = "[{\"role\": \"user\", \"content\": \"2 + 2?\"}]";
	b.prompt = "[{\"content\":\"2 + 2?\",\"role\":\"user\"}]";
	a.gold = 0;
	a.models[1] = "wrong";
	CHECK(t, feedback_add_item(f, &a, &id, &e) == 0 && feedback_add_item(f, &b, &again, &e) == 1 && id == again);
	other.key = "mine";
	CHECK(t, feedback_add_item(f, &other, &second, &e) == 0 && second != id);
	other.answers[1] = "6";
	CHECK(t, feedback_add_item(f, &other, &again, &e) == 0 && again != second);
	CHECK(t, feedback_items(f, &mem, &all, &n, &e) == 0 && n == 3);
	CHECK(t, !strcmp(all[0].key, all[0].version) && strlen(all[0].version) == 32 && all[0].gold == 0);
	CHECK(t, !all[0].models[0] && !strcmp(all[0].models[1], "wrong") && !strcmp(all[2].answers[1], "6"));
	CHECK(t, !strcmp(all[1].key, "mine") && strcmp(all[1].version, all[2].version) != 0);
	b.prompt = "17";
	CHECK(t, feedback_add_item(f, &b, &id, &e) == -1 && strstr(e.msg, "a text or a list of messages"));
	feedback_close(f);

	test_case(t, "what is asked comes back");
	CHECK(t, feedback_open(&f, path, false, &e) == 0);
	const struct feedback_study *s = feedback_study(f);
	CHECK(t, s->ask == ASK_COMPARE && s->labels_per_item == 3 && s->wage == 12.5);
	CHECK(t, !strcmp(s->instructions, "be fair"));
	CHECK(t, s->labels && !strcmp(s->labels[1], "bad") && !s->labels[2] && !s->model);
	feedback_close(f);
	mem_free(path);
	arena_release(&mem);
}

static void refusals(struct test *t, struct feedback *f, int64_t item, int64_t anna)
{
	struct err e = ERR_INIT;

	test_case(t, "what cannot be of the item is refused");
	struct feedback_label l = label_of("k2", item, anna, 2);
	CHECK(t, feedback_add_label(f, &l, &e) == -1 && strstr(e.msg, "the winner is answer 2, the item has 0 to 1"));
	l = label_of("k2", item + 7, anna, 0);
	CHECK(t, feedback_add_label(f, &l, &e) == -1 && strstr(e.msg, "there is no item"));
	l = label_of("k2", item, anna + 7, 0);
	CHECK(t, feedback_add_label(f, &l, &e) == -1 && strstr(e.msg, "there is no rater"));
	l = label_of("k2", item, anna, FEEDBACK_NONE);
	CHECK(t, feedback_add_label(f, &l, &e) == -1 && strstr(e.msg, "says nothing"));
	l.winner = 0;
	l.version = "0";
	CHECK(t, feedback_add_label(f, &l, &e) == -1 && strstr(e.msg, "the label is of 0"));
	CHECK(t, labels_in(f) == 3);

	test_case(t, "on a full disk: a sentence, and all that was saved is there");
	CHECK(t, store_exec(f, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA max_page_count = 1", &e) == 0);
	l = label_of("k3", item, anna, 0);
	char *comment = mem_alloc(65536);
	memset(comment, 'x', 65535);
	l.comment = comment;
	CHECK(t, feedback_add_label(f, &l, &e) == -1 && strstr(e.msg, "disk is full"));
	CHECK(t, labels_in(f) == 3);
	CHECK(t, store_exec(f, "PRAGMA max_page_count = 100000", &e) == 0 && feedback_add_label(f, &l, &e) == 0);
	CHECK(t, labels_in(f) == 4);
	mem_free(comment);
}

static void labels(struct test *t)
{
	struct err e = ERR_INIT;
	struct arena mem = ARENA_INIT;
	struct feedback_label *all, l;
	struct feedback_item a = item_of("\"2 + 2?\"", "4", "5");
	char *path;
	int64_t item, anna;
	size_t n;

	test_case(t, "a label comes back as it was said, and its key twice is one");
	struct feedback *f = make(t, "labels.db", &path);
	CHECK(t, feedback_add_item(f, &a, &item, &e) == 0 && feedback_rater(f, "anna", &anna, &e) == 0);
	l = label_of("k1", item, anna, 0);
	l.rank[0] = 1;
	l.rank[1] = 2;
	l.rating[1] = 2.5;
	l.edited_answer = 1;
	l.edited = "four\n";
	l.strength = 2;
	CHECK(t, feedback_add_label(f, &l, &e) == 0 && feedback_add_label(f, &l, &e) == 1);
	CHECK(t, feedback_labels(f, &mem, &all, &n, &e) == 0 && n == 1);
	CHECK(t, all->winner == 0 && all->strength == 2);
	CHECK(t, all->shown[0] == 1 && all->shown[1] == 0 && all->shown[2] == -1);
	CHECK(t, all->rank[1] == 2 && isnan(all->rating[0]) && all->rating[1] == 2.5 && !strcmp(all->edited, "four\n"));
	CHECK(t, all->edited_answer == 1 && all->seconds == 3.5 && all->time > 0 && !all->comment && !all->tie);

	test_case(t, "one without a key is known by what it says");
	l = label_of(NULL, item, anna, 1);
	CHECK(t, feedback_add_label(f, &l, &e) == 0 && feedback_add_label(f, &l, &e) == 1);
	l.seconds = 4;
	CHECK(t, feedback_add_label(f, &l, &e) == 0 && labels_in(f) == 3);

	arena_release(&mem);
	refusals(t, f, item, anna);
	feedback_close(f);
	mem_free(path);
}

static void showings(struct test *t)
{
	static const int8_t one[FEEDBACK_ANSWERS] = { 1, 0, -1, -1, -1, -1, -1, -1 };
	static const int8_t other[FEEDBACK_ANSWERS] = { 0, 1, -1, -1, -1, -1, -1, -1 };
	struct err e = ERR_INIT;
	struct feedback_item a = item_of("\"p\"", "x", "y"), b = item_of("\"q\"", "x", "y");
	int8_t order[FEEDBACK_ANSWERS];
	int64_t first, second, anna, item, repeat;
	char *path;

	test_case(t, "a showing is there until it is answered, and once more after undo");
	struct feedback *f = make(t, "shown.db", &path);
	CHECK(t, feedback_add_item(f, &a, &first, &e) == 0 && feedback_add_item(f, &b, &second, &e) == 0);
	CHECK(t, feedback_rater(f, "anna", &anna, &e) == 0);
	CHECK(t, feedback_shown(f, anna, &item, order, &repeat, &e) == 1);
	CHECK(t, feedback_show(f, anna, first, one, 0, &e) == 0);
	CHECK(t, feedback_shown(f, anna, &item, order, &repeat, &e) == 0 && item == first && !memcmp(order, one, 8));
	struct feedback_label l = label_of("k1", first, anna, 0);
	CHECK(t, feedback_add_label(f, &l, &e) == 0 && feedback_shown(f, anna, &item, order, &repeat, &e) == 1);
	CHECK(t, feedback_show(f, anna, second, other, 0, &e) == 0 && feedback_withdraw(f, anna, NULL, &e) == 0);
	CHECK(t, feedback_shown(f, anna, &item, order, &repeat, &e) == 0 && item == first && !memcmp(order, one, 8));
	CHECK(t, labels_in(f) == 0 && feedback_withdraw(f, anna, "k1", &e) == 1);
	l.key = "k2";
	CHECK(t, feedback_add_label(f, &l, &e) == 0);
	CHECK(t, feedback_shown(f, anna, &item, order, &repeat, &e) == 0 && item == second);

	test_case(t, "of a rater's label another one takes nothing back");
	int64_t ben;
	CHECK(t, feedback_rater(f, "ben", &ben, &e) == 0 && feedback_withdraw(f, ben, "k2", &e) == 1);
	CHECK(t, labels_in(f) == 1);
	feedback_close(f);
	mem_free(path);
}

static void raters(struct test *t)
{
	struct err e = ERR_INIT;
	struct arena mem = ARENA_INIT;
	struct feedback_rater who, *all;
	char *path, token[33], old[33];
	size_t n;

	test_case(t, "a token lets in, the one before it does not any more, nor does the file hold it");
	struct feedback *f = make(t, "raters.db", &path);
	CHECK(t, feedback_invite(f, "", ROLE_RATER, token, &e) == -1 && strstr(e.msg, "name is empty"));
	CHECK(t, feedback_invite(f, "me", ROLE_OWNER, old, &e) == 0);
	CHECK(t, feedback_invite(f, "me", ROLE_OWNER, token, &e) == 0);
	CHECK(t, feedback_raters(f, &mem, &all, &n, &e) == 0 && n == 1 && all->role == ROLE_OWNER);
	CHECK(t, feedback_admit(f, token, &who, &mem, &e) == 0 && !strcmp(who.name, "me") && who.role == ROLE_OWNER);
	CHECK(t, feedback_admit(f, old, &who, &mem, &e) == 1 && feedback_admit(f, "", &who, &mem, &e) == 1);
	CHECK(t, store_exec(f, "PRAGMA wal_checkpoint(TRUNCATE)", &e) == 0);
	struct buf bytes = BUF_INIT;
	feedback_close(f);
	CHECK(t, io_read(&bytes, path, &e) == 0 && !memmem(bytes.data, bytes.len, token, 32));
	buf_release(&bytes);
	mem_free(path);
	arena_release(&mem);
}

/* A child that adds labels of its own while others do. */
static int add_some(const char *path, int child)
{
	struct feedback *f;
	struct err e = ERR_INIT;
	char key[32];
	int status = feedback_open(&f, path, true, &e);

	for (int i = 0; i < 20 && status == 0; i++) {
		snprintf(key, sizeof(key), "%d-%d", child, i);
		struct feedback_label l = label_of(key, 1, 1, i & 1);
		status = feedback_add_label(f, &l, &e);
	}
	return status ? 1 : 0;
}

static void processes(struct test *t)
{
	struct err e = ERR_INIT;
	struct feedback_item a = item_of("\"p\"", "x", "y");
	struct feedback *g;
	char *path;
	int64_t id;
	int status;

	test_case(t, "several processes write at once, and leave without closing");
	struct feedback *f = make(t, "many.db", &path);
	CHECK(t, feedback_add_item(f, &a, &id, &e) == 0 && feedback_rater(f, "anna", &id, &e) == 0);
	feedback_close(f);
	for (int child = 0; child < 3; child++)
		if (fork() == 0)
			_exit(add_some(path, child));
	for (int child = 0; child < 3; child++)
		CHECK(t, wait(&status) > 0 && status == 0);
	CHECK(t, feedback_open(&f, path, true, &e) == 0 && labels_in(f) == 60);

	test_case(t, "one serves; the second is told who");
	CHECK(t, feedback_lock(f, &e) == 0 && feedback_open(&g, path, true, &e) == 0);
	CHECK(t, feedback_lock(g, &e) == -1 && strstr(e.msg, "serves it already"));
	char pid[24];
	snprintf(pid, sizeof(pid), "process %d ", (int)getpid());
	CHECK_MSG(t, strstr(e.msg, pid), "%s", e.msg);
	feedback_close(f);
	CHECK_MSG(t, feedback_lock(g, &e) == 0, "%s", e.msg);
	feedback_close(g);
	mem_free(path);
}

static void other_files(struct test *t)
{
	struct err e = ERR_INIT;
	struct feedback *f;
	char *path, *text = io_join(test_tmp(), "text");

	test_case(t, "no file, a text, a database of something else, a newer schema: one sentence each");
	CHECK(t, feedback_open(&f, "no/such.db", false, &e) == -1 && strstr(e.msg, "no such file of feedback"));
	CHECK(t, io_write(text, "{}\n", 3, &e) == 0 && !feedback_is(text) && feedback_open(&f, text, false, &e) == -1);
	CHECK(t, strstr(e.msg, "no SQLite file"));
	f = make(t, "other.db", &path);
	CHECK(t, feedback_create(path, &study, &e) == -1 && strstr(e.msg, "is there already"));
	CHECK(t, store_exec(f, "PRAGMA user_version = 99", &e) == 0);
	feedback_close(f);
	CHECK(t, feedback_is(path) && feedback_open(&f, path, false, &e) == -1 && strstr(e.msg, "newer kungfu"));
	mem_free(path);
	path = io_join(test_tmp(), "else.db");
	sqlite3 *db;
	CHECK(t, sqlite3_open(path, &db) == SQLITE_OK);
	CHECK(t, sqlite3_exec(db, "CREATE TABLE x (y)", NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_close(db);
	CHECK(t, feedback_open(&f, path, false, &e) == -1 && strstr(e.msg, "no file of feedback"));
	mem_free(path);
	mem_free(text);
}

void test_feedback(struct test *t)
{
	items(t);
	labels(t);
	showings(t);
	raters(t);
	processes(t);
	other_files(t);
}
